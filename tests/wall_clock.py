"""A wall clock that jumps, for every Python process of a search: `clock_gettime` replaced between Python and its libc.

Only what Python itself asks is answered otherwise, and only of the wall clock. Other libraries of a process (Ray's)
wait for absolute times of it, which a kernel whose clock is set moves with it and a replaced function does not.
"""

import struct
import subprocess
import sysconfig
from pathlib import Path

CODE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *ahead;
static int (*libc_clock_gettime)(clockid_t, struct timespec *);

__attribute__((constructor)) static void prepare(void) {
    libc_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    const char *path = getenv("WALL_CLOCK_AHEAD");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *page = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) ahead = page;
    close(file);
}

static int is_python(void *caller) {
    Dl_info of;
    if (!dladdr(caller, &of) || !of.dli_fname) return 0;
    const char *name = strrchr(of.dli_fname, '/');
    name = name ? name + 1 : of.dli_fname;
    return !strncmp(name, "python", 6) || !strncmp(name, "libpython", 9);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = libc_clock_gettime(clock, now);
    if (!failed && ahead && clock == CLOCK_REALTIME && is_python(__builtin_return_address(0))) now->tv_sec += *ahead;
    return failed;
}
"""


class WallClock:
    """The clock of the processes that get `environment`: `ahead` of this machine's by so many seconds."""

    def __init__(self, folder: Path):
        folder.mkdir()
        source, self.library, self.file = folder / "clock.c", folder / "clock.so", folder / "ahead"
        source.write_text(CODE)
        compiler = sysconfig.get_config_var("CC").split()[0]
        subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", self.library, source, "-ldl"], check=True)
        self.set_ahead(0)

    @property
    def environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self.library), "WALL_CLOCK_AHEAD": str(self.file)}

    def set_ahead(self, seconds: int) -> None:
        """Have the clock of every such process jump, at once."""
        with self.file.open("r+b" if self.file.exists() else "w+b") as file:  # mapped: written in place
            file.write(struct.pack("=q", seconds))
