/* save.c - text made in memory, saved whole or not at all. */
/* SPDX-License-Identifier: MIT */
#include "text.h"

gr_status gr__text_save(const gr__text *t, const char *path)
{
    if (t->failed) return gr__fail(GR_ERR_MEMORY, "%s: out of memory: not written", path);
    return gr__file_save(path, t->data ? t->data : "", t->len);
}
