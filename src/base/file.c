/* file.c - the one place where the library touches files. */
/* SPDX-License-Identifier: MIT */
#include "base.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int posix_open(void *user, const char *path, int flags, unsigned mode)
{
    (void)user;
    return open(path, flags | O_CLOEXEC, (mode_t)mode);
}

static int64_t posix_read(void *user, int fd, void *data, size_t bytes, int64_t offset)
{
    (void)user;
    return pread(fd, data, bytes, offset);
}

static int64_t posix_write(void *user, int fd, const void *data, size_t bytes)
{
    (void)user;
    return write(fd, data, bytes);
}

static int64_t posix_size(void *user, int fd)
{
    (void)user;
    struct stat s;
    if (fstat(fd, &s)) return -1;
    if (!S_ISREG(s.st_mode)) {
        errno = S_ISDIR(s.st_mode) ? EISDIR : EINVAL;
        return -1;
    }
    return s.st_size;
}

static int posix_sync(void *user, int fd)
{
    (void)user;
    return fsync(fd);
}

static int posix_close(void *user, int fd)
{
    (void)user;
    return close(fd);
}

static int posix_rename(void *user, const char *from, const char *to)
{
    (void)user;
    return rename(from, to);
}

static int posix_remove(void *user, const char *path)
{
    (void)user;
    return unlink(path);
}

static int posix_mode(void *user, const char *path)
{
    (void)user;
    struct stat s;
    return stat(path, &s) ? -1 : (int)(s.st_mode & 07777);
}

static int posix_chmod(void *user, int fd, unsigned mode)
{
    (void)user;
    return fchmod(fd, (mode_t)mode);
}

static int posix_list(void *user, const char *folder, void (*visit)(void *ctx, const char *name),
                      void *ctx)
{
    (void)user;
    DIR *dir = opendir(folder);
    if (!dir) return -1;
    errno = 0;
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) visit(ctx, e->d_name);
    int cause = errno;
    closedir(dir);
    errno = cause;
    return cause ? -1 : 0;
}

#define STANDARD                                                                                  \
    {                                                                                             \
        .open = posix_open, .read = posix_read, .write = posix_write, .size = posix_size,         \
        .sync = posix_sync, .close = posix_close, .rename = posix_rename, .remove = posix_remove, \
        .mode = posix_mode, .chmod = posix_chmod, .list = posix_list                              \
    }

static const gr_file_hooks standard = STANDARD;
static gr_file_hooks hooks = STANDARD;

void gr_set_file_hooks(const gr_file_hooks *replacement)
{
    hooks = replacement ? *replacement : standard;
}

int gr__file_open(const char *path, int flags, unsigned mode)
{
    return hooks.open(hooks.user, path, flags, mode);
}

int64_t gr__file_read(int fd, void *data, size_t bytes, int64_t offset)
{
    size_t done = 0;
    while (done < bytes) {
        int64_t n = hooks.read(hooks.user, fd, (char *)data + done, bytes - done,
                               offset + (int64_t)done);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return -1;
        if (n == 0) break;
        done += (size_t)n;
    }
    return (int64_t)done;
}

int64_t gr__file_size(int fd)
{
    return hooks.size(hooks.user, fd);
}

int gr__file_list(const char *folder, void (*visit)(void *ctx, const char *name), void *ctx)
{
    return hooks.list(hooks.user, folder, visit, ctx);
}

int gr__file_close(int fd)
{
    return hooks.close(hooks.user, fd);
}

gr_status gr__file_load(const char *path, void **data, size_t *bytes)
{
    *data = NULL;
    *bytes = 0;
    if (gr__need("file", path, "path")) return GR_ERR_ARGUMENT;
    int fd = gr__file_open(path, O_RDONLY | O_NONBLOCK, 0); /* a pipe must not hang us */
    if (fd < 0) return gr__fail(GR_ERR_FILE, "%s: cannot open: %s", path, strerror(errno));
    gr_status status = GR_OK;
    void *content = NULL;
    int64_t size = gr__file_size(fd);
    if (size < 0) status = gr__fail(GR_ERR_FILE, "%s: cannot read: %s", path, strerror(errno));
    else if (!(content = gr__alloc((size_t)size + 1))) status = GR_ERR_MEMORY;
    else if (gr__file_read(fd, content, (size_t)size, 0) != size)
        status = gr__fail(GR_ERR_FILE, "%s: could not read all of its %lld bytes", path,
                          (long long)size);
    gr__file_close(fd);
    if (status) {
        gr__free(content);
        return status;
    }
    ((char *)content)[size] = 0;
    *data = content;
    *bytes = (size_t)size;
    return GR_OK;
}

static bool write_all(int fd, const char *data, size_t bytes)
{
    while (bytes) {
        int64_t n = hooks.write(hooks.user, fd, data, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        data += n;
        bytes -= (size_t)n;
    }
    return true;
}

/* Makes the rename itself durable; a file system that cannot is not an error. */
static void sync_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 0;
    if (n >= sizeof folder) return;
    memcpy(folder, path, n);
    memcpy(folder + n, n ? "" : slash ? "/" : ".", n ? 1 : 2);
    int fd = gr__file_open(folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return;
    hooks.sync(hooks.user, fd);
    gr__file_close(fd);
}

/* Opens a file of a name that nobody else uses, beside `path`. */
static int open_temporary(const char *path, char *name, size_t size)
{
    static unsigned counter; /* atomic: threads may save at once */
    for (int attempt = 0; attempt < 100; attempt++) {
        unsigned n = __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
        int length = snprintf(name, size, "%s.%ld.%u.tmp", path, (long)getpid(), n);
        if (length < 0 || (size_t)length >= size) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = gr__file_open(name, O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

gr_status gr__file_save(const char *path, const void *data, size_t bytes)
{
    char temporary[4096];
    if (gr__need("file", path, "path")) return GR_ERR_ARGUMENT;
    int mode = hooks.mode(hooks.user, path); /* of a file that is replaced: kept */
    int fd = open_temporary(path, temporary, sizeof temporary);
    if (fd < 0) return gr__fail(GR_ERR_FILE, "%s: cannot create: %s", path, strerror(errno));
    bool written = write_all(fd, data, bytes) &&
                   (mode < 0 || hooks.chmod(hooks.user, fd, (unsigned)mode) == 0) &&
                   hooks.sync(hooks.user, fd) == 0;
    int cause = errno;
    if (gr__file_close(fd) && written) {
        cause = errno;
        written = false;
    }
    if (written && hooks.rename(hooks.user, temporary, path)) {
        cause = errno;
        written = false;
    }
    if (!written) {
        hooks.remove(hooks.user, temporary);
        return gr__fail(GR_ERR_FILE, "%s: cannot write: %s", path, strerror(cause));
    }
    sync_folder(path);
    return GR_OK;
}

gr_status gr__file_append(const char *path, const void *data, size_t bytes)
{
    if (gr__need("file", path, "path")) return GR_ERR_ARGUMENT;
    int fd = gr__file_open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0) return gr__fail(GR_ERR_FILE, "%s: cannot open: %s", path, strerror(errno));
    bool written = write_all(fd, data, bytes);
    int cause = errno;
    if (gr__file_close(fd) && written) {
        cause = errno;
        written = false;
    }
    if (written) return GR_OK;
    return gr__fail(GR_ERR_FILE, "%s: cannot write: %s", path, strerror(cause));
}
