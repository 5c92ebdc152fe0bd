/* inject.c - makes the library's allocations and file operations fail. */
/* SPDX-License-Identifier: MIT */
#include "inject.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gradus/base.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Atomic, because the library may allocate on several threads. */
static _Atomic int64_t until_allocation; /* allocations before the one that fails; below 0: none */
static _Atomic int64_t allocations, live, live_bytes, largest;
static _Atomic bool happened;

static inject_call failing; /* INJECT_CALLS: none */
static int64_t until_call, open_files;
static bool ended; /* a short read took place: the file ends here */

/* --- memory --- */

static void *hook_alloc(void *user, size_t bytes)
{
    (void)user;
    allocations++;
    if ((int64_t)bytes > largest) largest = (int64_t)bytes;
    if (until_allocation >= 0 && until_allocation-- == 0) {
        happened = true;
        return NULL;
    }
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (memory) {
        live++;
        live_bytes += (int64_t)bytes;
    }
    return memory;
}

static void hook_free(void *user, void *memory, size_t bytes)
{
    (void)user;
    live--;
    live_bytes -= (int64_t)bytes;
    free(memory);
}

/* --- files --- */

/* Whether this is the call that is to fail. */
static bool strikes(inject_call call, int cause)
{
    if (failing != call || until_call-- > 0) return false;
    failing = INJECT_CALLS;
    happened = true;
    errno = cause;
    return true;
}

static int hook_open(void *user, const char *path, int flags, unsigned mode)
{
    (void)user;
    if (strikes(INJECT_OPEN, EACCES)) return -1;
    int fd = open(path, flags, (mode_t)mode);
    if (fd >= 0) open_files++;
    return fd;
}

static int64_t hook_read(void *user, int fd, void *data, size_t bytes, int64_t offset)
{
    (void)user;
    if (ended) return 0;
    if (strikes(INJECT_READ, EIO)) return -1;
    if (strikes(INJECT_SHORT_READ, 0)) {
        ended = true;
        bytes /= 2;
    }
    return pread(fd, data, bytes, offset);
}

static int64_t hook_write(void *user, int fd, const void *data, size_t bytes)
{
    (void)user;
    if (strikes(INJECT_WRITE, ENOSPC)) return -1;
    if (strikes(INJECT_SHORT_WRITE, 0)) {
        failing = INJECT_WRITE;
        until_call = 0;
        bytes = (bytes + 1) / 2;
    }
    return write(fd, data, bytes);
}

static int64_t hook_size(void *user, int fd)
{
    (void)user;
    struct stat s;
    if (strikes(INJECT_SIZE, EIO)) return -1;
    return fstat(fd, &s) ? -1 : s.st_size;
}

static int hook_sync(void *user, int fd)
{
    (void)user;
    return strikes(INJECT_SYNC, EIO) ? -1 : fsync(fd);
}

static int hook_close(void *user, int fd)
{
    (void)user;
    open_files--;
    close(fd);
    return strikes(INJECT_CLOSE, EIO) ? -1 : 0;
}

static int hook_rename(void *user, const char *from, const char *to)
{
    (void)user;
    return strikes(INJECT_RENAME, EACCES) ? -1 : rename(from, to);
}

static int hook_remove(void *user, const char *path)
{
    (void)user;
    return strikes(INJECT_REMOVE, EACCES) ? -1 : unlink(path);
}

static int hook_mode(void *user, const char *path)
{
    (void)user;
    struct stat s;
    return stat(path, &s) ? -1 : (int)(s.st_mode & 07777);
}

static int hook_chmod(void *user, int fd, unsigned mode)
{
    (void)user;
    return strikes(INJECT_CHMOD, EPERM) ? -1 : fchmod(fd, (mode_t)mode);
}

static int hook_list(void *user, const char *folder, void (*visit)(void *ctx, const char *name),
                     void *ctx)
{
    (void)user;
    DIR *dir = strikes(INJECT_LIST, EACCES) ? NULL : opendir(folder);
    if (!dir) return -1;
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) visit(ctx, e->d_name);
    return closedir(dir);
}

/* --- control --- */

void inject_begin(void)
{
    static const gr_allocator memory = {hook_alloc, hook_free, NULL};
    static const gr_file_hooks files = {hook_open, hook_read,  hook_write,  hook_size,
                                        hook_sync, hook_close, hook_rename, hook_remove,
                                        hook_mode, hook_chmod, hook_list,   NULL};
    inject_none();
    allocations = live = live_bytes = largest = 0;
    open_files = 0;
    gr_set_allocator(&memory);
    gr_set_file_hooks(&files);
}

void inject_end(void)
{
    gr_set_allocator(NULL);
    gr_set_file_hooks(NULL);
}

void inject_none(void)
{
    until_allocation = -1;
    failing = INJECT_CALLS;
    ended = false;
}

void inject_allocation(int64_t n)
{
    inject_none();
    happened = false;
    until_allocation = n;
}

void inject_file(inject_call call, int64_t n)
{
    inject_none();
    happened = false;
    failing = call;
    until_call = n;
}

bool inject_happened(void)
{
    return happened;
}

int64_t inject_allocations(void)
{
    return allocations;
}

int64_t inject_live(void)
{
    return live;
}

int64_t inject_live_bytes(void)
{
    return live_bytes;
}

int64_t inject_largest(void)
{
    return largest;
}

int64_t inject_open_files(void)
{
    return open_files;
}
