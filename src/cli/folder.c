/* folder.c - the output folder, made and tried before the work begins. */
/* SPDX-License-Identifier: MIT */
#include "results.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static gr_status cannot(const char *what, const char *path)
{
    return gr__fail(GR_ERR_FILE, "%s: cannot %s: %s", path, what, strerror(errno));
}

static bool is_folder(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISDIR(s.st_mode);
}

/* Makes the folder that the first `length` bytes of the path name. */
static gr_status make_part(folder *f, size_t length)
{
    char part[sizeof f->path];
    memcpy(part, f->path, length);
    part[length] = 0;
    if (mkdir(part, 0777) == 0) return GR_OK;
    if (errno != EEXIST || !is_folder(part)) {
        if (errno == EEXIST) errno = ENOTDIR;
        return cannot("make this folder", part);
    }
    f->there = length;
    return GR_OK;
}

static gr_status try_file(const folder *f)
{
    char path[sizeof f->path + 32];
    snprintf(path, sizeof path, "%s/.gradus-%ld", f->path, (long)getpid());
    int fd = gr__file_open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (fd < 0) return cannot("write into this folder", f->path);
    gr__file_close(fd);
    unlink(path);
    return GR_OK;
}

gr_status folder_open(folder *f, const char *path)
{
    *f = (folder){.there = 0};
    size_t n = strlen(path);
    if (n >= sizeof f->path) return gr__fail(GR_ERR_FILE, "%.80s...: path too long", path);
    memcpy(f->path, path, n + 1);
    gr_status status = GR_OK;
    for (size_t i = 1; i <= n && !status; i++)
        if ((path[i] == '/' || !path[i]) && path[i - 1] != '/') status = make_part(f, i);
    if (!status) status = try_file(f);
    if (status) folder_undo(f);
    return status;
}

void folder_undo(const folder *f)
{
    char part[sizeof f->path];
    strcpy(part, f->path);
    for (size_t n = strlen(part); n > f->there; n--) {
        if (part[n] && part[n] != '/') continue;
        part[n] = 0;
        if (rmdir(part) && errno != ENOENT) return;
    }
}
