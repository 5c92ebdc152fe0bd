/* site.c - symbol and offset of an address, from the dynamic loader. */
/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "site.h"

#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

const char *gr__site_symbol(const void *address, char *text, size_t size)
{
    Dl_info info;
    if (!address) {
        snprintf(text, size, "?");
    } else if (!dladdr(address, &info) || !info.dli_fname) {
        snprintf(text, size, "%p", address);
    } else if (info.dli_sname) {
        snprintf(text, size, "%s+0x%zx", info.dli_sname,
                 (size_t)((uintptr_t)address - (uintptr_t)info.dli_saddr));
    } else {
        const char *slash = strrchr(info.dli_fname, '/');
        snprintf(text, size, "%s+0x%zx", slash ? slash + 1 : info.dli_fname,
                 (size_t)((uintptr_t)address - (uintptr_t)info.dli_fbase));
    }
    return text;
}
