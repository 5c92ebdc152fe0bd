/* scratch.c - a temporary folder for the files of one test. */
/* SPDX-License-Identifier: MIT */
#include "scratch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[1024];

/* A test cannot go on without its files. */
static void must(int condition, const char *what)
{
    if (condition) return;
    perror(what);
    abort();
}

void scratch_begin(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/gradus-test-XXXXXX", parent && *parent ? parent : "/tmp");
    must(mkdtemp(folder) != NULL, folder);
}

/* Calls visit, if there is one, for everything in a folder; gives how much that is. */
static int each_file(const char *of, int (*visit)(const char *path))
{
    int n = 0;
    char path[4096];
    DIR *dir = opendir(of);
    must(dir != NULL, of);
    for (struct dirent *e; (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
        n++;
        snprintf(path, sizeof path, "%s/%s", of, e->d_name);
        if (visit) visit(path);
    }
    closedir(dir);
    return n;
}

/* A file, or a folder of files. */
static int remove_path(const char *path)
{
    if (unlink(path) == 0) return 0;
    each_file(path, unlink);
    return rmdir(path);
}

void scratch_end(void)
{
    each_file(folder, remove_path);
    rmdir(folder);
}

const char *scratch_make_folder(const char *name)
{
    const char *path = scratch_path(name);
    must(mkdir(path, 0777) == 0, path);
    return path;
}

const char *scratch_folder(void)
{
    return folder;
}

const char *scratch_path(const char *name)
{
    static char paths[8][2048];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *scratch_write(const char *name, const void *data, size_t bytes)
{
    const char *path = scratch_path(name);
    FILE *f = fopen(path, "wb");
    must(f && fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0, path);
    return path;
}

char *scratch_read(const char *name, size_t *bytes)
{
    FILE *f = fopen(scratch_path(name), "rb");
    if (!f) return NULL;
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    char *data = malloc((size_t)size + 1);
    must(data && fread(data, 1, (size_t)size, f) == (size_t)size, name);
    fclose(f);
    data[size] = 0;
    *bytes = (size_t)size;
    return data;
}

int scratch_files(void)
{
    return each_file(folder, NULL);
}
