/* scratch.h - a temporary folder for the files of one test. */
/* SPDX-License-Identifier: MIT */
#ifndef SCRATCH_H
#define SCRATCH_H

#include <stddef.h>

void scratch_begin(void); /* makes an empty folder, in TMPDIR or /tmp; aborts when it cannot */
void scratch_end(void);   /* removes it with its files and folders of files */

const char *scratch_folder(void);
const char *scratch_make_folder(const char *name); /* in it; gives its path */
const char *scratch_path(const char *name);        /* valid until the eighth call after it */
const char *scratch_write(const char *name, const void *data, size_t bytes); /* gives its path */
/* The content with a NUL behind it, NULL when there is no such file; free() it. */
char *scratch_read(const char *name, size_t *bytes);
int scratch_files(void); /* how many files are there */

#endif
