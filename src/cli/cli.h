/* cli.h - the gradus command: its subcommands and what they share. */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CLI_H
#define GR__CLI_H

#include "base.h"

/* Exit statuses. */
enum { DONE = 0, FAILED = 1, USAGE = 2, INCONCLUSIVE = 3, INTERRUPTED = 130 };

typedef struct command {
    const char *name, *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the name of the command */
} command;

int train_run(int argc, char **argv);
int train_text_run(int argc, char **argv); /* of train char-lstm */
int predict_run(int argc, char **argv);
int check_run(int argc, char **argv);
int flow_run(int argc, char **argv);
int ops_run(int argc, char **argv);

/* Says "gradus COMMAND: " and this thread's last error on standard error; gives FAILED. */
int fail(const char *command);

/* Writes to standard output; false, with the error set, when that does not work. */
bool print_text(const gr__text *t);

#endif
