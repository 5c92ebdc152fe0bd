/* check_so_child.c - the process in which one of a user's functions is loaded and checked. */
/* SPDX-License-Identifier: MIT */
#include "check_so.h"

#include <dlfcn.h>
#include <gradus/plugin.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static void give_up(ledger *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(l->error, sizeof l->error, format, args);
    va_end(args);
    l->done = true;
}

/* --- limits --- */

/* SIGALRM ends the process when time is up; a crash leaves no core file behind. */
static void set_limits(const ledger *l)
{
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    sigprocmask(SIG_UNBLOCK, &alarms, NULL);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    alarm((unsigned)l->timeout);
    if (l->threads) gr_set_threads(l->threads);
}

/* --- the shared object --- */

typedef struct functions {
    const gr_op *const *ops;
    const gr_raw *const *raws;
    int n_ops, n_raws;
} functions;

static bool same_abi(ledger *l, const gr_abi *theirs)
{
    const gr_abi ours = GR_ABI;
    if (!theirs) {
        give_up(l,
                "%s: gradus_abi is missing; it needs: const gr_abi gradus_abi = GR_ABI; "
                "(see <gradus/plugin.h>)",
                l->path);
        return false;
    }
    if (theirs->version == ours.version && theirs->op_bytes == ours.op_bytes &&
        theirs->raw_bytes == ours.raw_bytes)
        return true;
    give_up(l,
            "%s: compiled against other headers: ABI %d with gr_op of %d and gr_raw of %d bytes; "
            "this is gradus %s: ABI %d, %d and %d bytes. Compile it again",
            l->path, theirs->version, theirs->op_bytes, theirs->raw_bytes, gr_version(),
            ours.version, ours.op_bytes, ours.raw_bytes);
    return false;
}

static bool load(ledger *l, functions *f)
{
    l->doing = LOADING;
    void *so = dlopen(l->path, RTLD_NOW | RTLD_LOCAL);
    l->doing = IDLE;
    if (!so) {
        give_up(l, "cannot load it: %s", dlerror());
        return false;
    }
    f->ops = dlsym(so, "gradus_ops");
    f->raws = dlsym(so, "gradus_raws");
    if (!f->ops && !f->raws) {
        give_up(l, "%s: it defines neither gradus_ops nor gradus_raws (see <gradus/plugin.h>)",
                l->path);
        return false;
    }
    if (!same_abi(l, dlsym(so, "gradus_abi"))) return false;
    while (f->ops && f->ops[f->n_ops] && f->n_ops < MOST_FUNCTIONS) f->n_ops++;
    while (f->raws && f->raws[f->n_raws] && f->n_raws < MOST_FUNCTIONS) f->n_raws++;
    l->functions = f->n_ops + f->n_raws;
    if (!l->functions) give_up(l, "%s: its lists of functions are empty", l->path);
    return l->functions > 0;
}

/* --- the check --- */

static void check_one(ledger *l, const functions *f)
{
    const bool is_op = l->index < f->n_ops;
    const gr_op *op = is_op ? f->ops[l->index] : NULL;
    const gr_raw *raw = is_op ? NULL : f->raws[l->index - f->n_ops];
    const char *name = is_op ? op->name : raw->name;
    if (name) snprintf(l->name, sizeof l->name, "%s", name);
    else snprintf(l->name, sizeof l->name, "function %d", l->index);
    gr_check_report r;
    if (is_op) gr_gradcheck_op(watch_op(op, &l->doing), l->options, &r);
    else gr_gradcheck_raw(watch_raw(raw, &l->doing), l->options, &r);
    l->report = r;
    l->done = true;
}

/* Ends without the shared object's clean-up code: the report is complete. */
int check_so_run(int argc, char **argv)
{
    (void)argc;
    ledger *l = mmap(NULL, sizeof *l, PROT_READ | PROT_WRITE, MAP_SHARED, LEDGER_FD, 0);
    if (l == MAP_FAILED || l->magic != LEDGER_MAGIC) {
        fprintf(stderr, "gradus %s: this is a part of gradus check --so\n", argv[0]);
        return USAGE;
    }
    functions f = {0};
    set_limits(l);
    if (load(l, &f)) check_one(l, &f);
    fflush(NULL);
    _exit(DONE);
}
