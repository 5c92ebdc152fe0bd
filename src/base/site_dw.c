/* site_dw.c - places in the user's program from debug information, through elfutils' libdw. */
/* SPDX-License-Identifier: MIT */
#include "base.h"
#include "site.h"

#include <elfutils/libdw.h>
#include <elfutils/libdwfl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* File and line of an address in a unit, "" where it has none. */
static bool line_in(Dwarf_Die *unit, Dwarf_Addr address, const char **file, int *number)
{
    Dwarf_Line *line = unit ? dwarf_getsrc_die(unit, address) : NULL;
    *file = line ? dwarf_linesrc(line, NULL, NULL) : NULL;
    return *file && dwarf_lineno(line, number) == 0;
}

/* Compilers that emit no table of address ranges (clang) leave the search for the unit to us. */
static bool line_of(Dwfl *dwfl, const void *address, char *text, size_t size)
{
    if (dwfl_linux_proc_report(dwfl, getpid()) || dwfl_report_end(dwfl, NULL, NULL)) return false;
    /* The return address may already belong to the next line: look at the call before it. */
    Dwarf_Addr call = (Dwarf_Addr)(uintptr_t)address - 1, bias = 0;
    Dwfl_Module *module = dwfl_addrmodule(dwfl, call);
    const char *file = NULL;
    int number = 0;
    if (!module) return false;
    bool found = line_in(dwfl_module_addrdie(module, call, &bias), call - bias, &file, &number);
    for (Dwarf_Die *unit = NULL; !found && (unit = dwfl_module_nextcu(module, unit, &bias));)
        found = dwarf_haspc(unit, call - bias) > 0 && line_in(unit, call - bias, &file, &number);
    if (!found) return false;
    const char *slash = strrchr(file, '/');
    snprintf(text, size, "%s:%d", slash ? slash + 1 : file, number);
    return true;
}

const char *gr__site_text(const void *address, char *text, size_t size)
{
    char *no_path = NULL;
    const Dwfl_Callbacks callbacks = {.find_elf = dwfl_linux_proc_find_elf,
                                      .find_debuginfo = dwfl_standard_find_debuginfo,
                                      .debuginfo_path = &no_path};
    Dwfl *dwfl = address ? dwfl_begin(&callbacks) : NULL;
    bool found = dwfl && line_of(dwfl, address, text, size);
    if (dwfl) dwfl_end(dwfl);
    return found ? text : gr__site_symbol(address, text, size);
}
