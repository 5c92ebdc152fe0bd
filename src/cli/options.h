/* options.h - the options of a subcommand, from a table. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__OPTIONS_H
#define GR__OPTIONS_H

#include "cli.h"

#include <gradus/graph.h>

typedef struct option_type option_type;
extern const option_type option_flag;      /* bool, given or not */
extern const option_type option_whole;     /* int64_t, low .. high */
extern const option_type option_number;    /* double, low .. high */
extern const option_type option_text;      /* const char *, not empty */
extern const option_type option_precision; /* gr_precision, by its name */

typedef struct option {
    const char *name; /* without the dashes */
    const option_type *type;
    void *value;          /* as the type says; holds the default */
    const char *argument; /* "N"; NULL for a flag */
    const char *help;
    double low, high;
} option;

typedef struct usage {
    const char *command, *summary;
    const char *operand, *operand_help; /* of the one word that is no option; NULL: there is none */
    const char **operand_value;         /* NULL when it is not given */
    const option *options;              /* ends with a NULL name */
    const char *more;                   /* after the options: examples, exit statuses */
} usage;

/* DONE: go on; -1: the help was printed, stop with DONE; USAGE: an error was said. */
int options_parse(const usage *u, int argc, char **argv);
/* Says so where this machine has no such precision. */
void say_precision(gr_precision p);
/* Says what is wrong and where to find help; gives USAGE. */
int options_error(const usage *u, const char *format, ...) GR_PRINTF(2, 3);

#endif
