/* interrupt.c - Ctrl-C ends a training after the step that it is in.
 *
 * A signal handler can only reach what is global: one flag, set by SIGINT for every fit that asked.
 */
/* SPDX-License-Identifier: MIT */
#define _POSIX_C_SOURCE 200809L
#include "fit.h"

#include <signal.h>
#include <stdio.h>

static volatile sig_atomic_t interrupted;

typedef struct interrupt {
    struct sigaction before;
    bool installed;
} interrupt;

static void note(int signal)
{
    (void)signal;
    interrupted = 1;
}

static gr_status begin(void *self, gr_training *run)
{
    interrupt *s = self;
    struct sigaction action = {.sa_handler = note, .sa_flags = (int)SA_RESETHAND};
    (void)run;
    interrupted = 0;
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, NULL, &s->before) || s->before.sa_handler == SIG_IGN) return GR_OK;
    s->installed = sigaction(SIGINT, &action, &s->before) == 0;
    return GR_OK;
}

static gr_status batch(void *self, gr_training *run)
{
    (void)self;
    if (interrupted) run->stop = true;
    return GR_OK;
}

static gr_status end(void *self, gr_training *run, gr_status status)
{
    interrupt *s = self;
    (void)run, (void)status;
    if (s->installed) sigaction(SIGINT, &s->before, NULL);
    s->installed = false;
    return GR_OK;
}

/* Ctrl-C (SIGINT) lets the step be finished and ends the training as run->stop does: checkpoints are
 * saved, and the history says `interrupted`. A second one has its usual effect at once. Where the
 * signal is ignored, as in the background of a script, it stays so. The handler that was there before
 * is put back at the end. Put it before gr_checkpoint. */
gr_callback gr_stop_on_interrupt(void)
{
    gr_callback c = {
        .name = "interrupt", .begin = begin, .batch = batch, .end = end, .free = gr__free};
    c.self = gr__calloc(sizeof(interrupt));
    if (!c.self) snprintf(c.problem, sizeof c.problem, "out of memory");
    return c;
}
