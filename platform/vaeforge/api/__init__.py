"""Python interface: what `vaeforge` exports, and the requests that it shares with the command line."""
