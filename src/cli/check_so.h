/* check_so.h - gradus check --so: grading a user's compiled functions, each in a process of its own.
 *
 * A user's code may crash, loop or overwrite memory, so it never runs in the process that reports.
 * The two share a ledger, a mapped file; the child is this command once more (exec, since OpenMP
 * does not survive a fork alone).
 */
/* SPDX-License-Identifier: MIT */
#ifndef GR__CHECK_SO_H
#define GR__CHECK_SO_H

#include "cli.h"
#include <gradus/check_raw.h>
#include <stdatomic.h>

typedef struct so_request {
    const char *path;
    gr_check_options options;
    int timeout; /* seconds that one function may take */
    int threads; /* 0: one per core */
} so_request;

/* Checks every function of the shared object and calls found for each. On failure the error is
 * set. */
gr_status check_so(const so_request *q,
                   void (*found)(void *ctx, const char *name, const gr_check_report *r), void *ctx);

/* The hidden command that runs in the child. */
#define CHECK_SO_COMMAND "check-so"
int check_so_run(int argc, char **argv);

/* --- between the two --- */

enum { LEDGER_FD = 3, LEDGER_MAGIC = 0x67726164, MOST_FUNCTIONS = 10000 };

typedef struct ledger {
    int magic;
    /* from the parent */
    char path[4096];
    gr_check_options options; /* no pointers in it */
    int timeout, threads;
    int index; /* of the function to check: first the ops, then the pairs */
    /* from the child */
    int functions;    /* how many there are, once that is known */
    atomic_int doing; /* which part of the user's code runs */
    char name[64];    /* of the function under check */
    bool done;        /* the report is complete, or the error */
    char error[1024]; /* why nothing could be checked; "" else */
    gr_check_report report;
} ledger;

/* --- watch.c: noting which part of the user's code runs --- */

enum { IDLE, LOADING, SHAPE, FORWARD, BACKWARD, BRANCH, DEFINITION, PARTS };

const char *watch_part(int doing); /* "forward" */
/* Copies that note in *doing what they run; valid until the next call. */
const gr_op *watch_op(const gr_op *op, atomic_int *doing);
const gr_raw *watch_raw(const gr_raw *raw, atomic_int *doing);

#endif
