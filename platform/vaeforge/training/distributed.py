"""Process group of the ranks of a Ray Train run, set up by the ranks themselves and not by Ray Train."""

import os
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar, cast

import psutil
import ray
import torch
import torch.distributed as dist
from ray import train
from torch.distributed import TCPStore  # type: ignore[attr-defined] # public, though its module has no __all__

from vaeforge.training.control_channel import ControlChannel
from vaeforge.training.process_group import ProcessGroup

T = TypeVar("T")
LOOPBACK = "127.0.0.1"
PATIENCE = timedelta(minutes=30)  # of a rank in a collective; idle worker groups exchange something every 10 s


class RayProcessGroup:
    """The group of a Ray Train worker, and a gloo channel beside it for control messages.

    Those must not go through NCCL, which would keep an idle GPU busy. The ranks listen without asking who calls: on one
    machine at its loopback alone, on several at the address that Ray uses.
    """

    def __init__(self, gpus: bool) -> None:
        context = train.get_context()
        rank, world = context.get_world_rank(), context.get_world_size()
        self.group = ProcessGroup(rank, world, _own_gpu() if gpus else torch.device("cpu"))
        self._control: ControlChannel | None = None
        if world > 1:
            address = _own_address(one_machine=context.get_local_world_size() == world)
            _listen_at(address)
            backend, store = "nccl" if gpus else "gloo", _rendezvous(rank, world, address)
            dist.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=PATIENCE)
            self._control = ControlChannel(dist.new_group(backend="gloo", timeout=PATIENCE))

    def close(self) -> None:
        """Take the process group apart; every rank calls it, after its last collective."""
        if self._control is not None:
            dist.destroy_process_group()

    def broadcast_from_main(self, ask: Callable[[], T], kind: Any) -> T:
        """What `ask` returns on rank 0, a value of the type `kind`, on every rank; the others wait."""
        value = ask() if self.group.is_main else None
        return cast(T, value) if self._control is None else self._control.broadcast(value, kind)

    def gather(self, value: T, kind: Any) -> list[T]:
        """Every rank's value, of the type `kind`, in order of rank, on every rank."""
        return [value] if self._control is None else self._control.gather(value, kind)


def _own_gpu() -> torch.device:
    """The GPU that Ray gave this worker, made torch's current device."""
    from ray.train.torch import get_device  # seconds of imports that ranks on CPUs do without

    device = get_device()
    assert isinstance(device, torch.device)
    torch.cuda.set_device(device)
    return device


def _own_address(one_machine: bool) -> str:
    """Where the other ranks reach this one."""
    return LOOPBACK if one_machine else str(ray.util.get_node_ip_address())


def _listen_at(address: str) -> None:
    """Have gloo and NCCL use the interface of `address`, unless the user has named one."""
    for name, addresses in psutil.net_if_addrs().items():
        if address in (one.address for one in addresses):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", f"={name}")  # this one, not all whose names begin so
            return


def _rendezvous(rank: int, world: int, address: str) -> TCPStore:
    """The store at which the ranks of a group find each other: on rank 0, at a port that the system chose."""
    from ray.train.collective import broadcast_from_rank_zero

    if rank > 0:
        host, port = broadcast_from_rank_zero(None)
        return TCPStore(host, port, world, is_master=False, timeout=PATIENCE)
    # a store that opens its own socket listens on all interfaces
    listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    port = listener.getsockname()[1]
    descriptor = listener.detach()  # the store closes it
    store = TCPStore(
        address, port, world, is_master=True, timeout=PATIENCE, wait_for_workers=False, master_listen_fd=descriptor
    )
    broadcast_from_rank_zero((address, port))
    return store
