/* check_so.c - starting the checks of a shared object's functions, and what became of them. */
/* SPDX-License-Identifier: MIT */
#include "check_so.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* --- the ledger --- */

/* dlopen looks for a bare name along the library path; a command means the file here. */
static bool set_path(ledger *l, const char *path)
{
    int n = snprintf(l->path, sizeof l->path, "%s%s", strchr(path, '/') ? "" : "./", path);
    return n > 0 && (size_t)n < sizeof l->path;
}

static gr_status open_ledger(const so_request *q, FILE **file, ledger **out)
{
    *file = tmpfile();
    ledger *l = MAP_FAILED;
    if (*file && ftruncate(fileno(*file), sizeof *l) == 0)
        l = mmap(NULL, sizeof *l, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(*file), 0);
    *out = l;
    if (l == MAP_FAILED) {
        gr_status status = gr__fail(GR_ERR_FILE, "a temporary file: %s", strerror(errno));
        if (*file) fclose(*file);
        return status;
    }
    *l = (ledger){.magic = LEDGER_MAGIC,
                  .options = q->options,
                  .timeout = q->timeout,
                  .threads = q->threads};
    if (set_path(l, q->path)) return GR_OK;
    munmap(l, sizeof *l);
    fclose(*file);
    return gr__fail(GR_ERR_ARGUMENT, "%.60s...: the path is too long", q->path);
}

static void clear_answer(ledger *l)
{
    l->doing = IDLE;
    l->done = false;
    l->name[0] = l->error[0] = 0;
    l->report = (gr_check_report){.verdict = GR_PASS};
}

/* The child's memory may have been overwritten, the ledger in it. */
static void mend_answer(ledger *l)
{
    l->name[sizeof l->name - 1] = l->error[sizeof l->error - 1] = 0;
    l->report.stage[sizeof l->report.stage - 1] = 0;
    l->report.message[sizeof l->report.message - 1] = 0;
    l->report.input[sizeof l->report.input - 1] = 0;
    l->report.diagnosis[sizeof l->report.diagnosis - 1] = 0;
    l->report.explanation[sizeof l->report.explanation - 1] = 0;
    if ((unsigned)l->report.elements > GR_CHECK_ELEMENTS) l->report.elements = 0;
    for (int i = 0; i < l->report.elements; i++)
        l->report.element[i].where[sizeof l->report.element[i].where - 1] = 0;
    if ((unsigned)l->report.verdict > GR_INCONCLUSIVE) l->report.verdict = GR_FAIL;
    if (l->functions < 0 || l->functions > 2 * MOST_FUNCTIONS) l->functions = 0;
}

/* --- the child --- */

static const char *own_path(char *path, size_t size)
{
    ssize_t n = readlink("/proc/self/exe", path, size - 1);
    if (n <= 0) return "gradus";
    path[n] = 0;
    return path;
}

/* What the user's code prints goes to standard error: the report alone is standard output. */
static int spawn(FILE *file, pid_t *child)
{
    char path[4096], command_name[] = CHECK_SO_COMMAND, program[] = "gradus";
    char *argv[] = {program, command_name, NULL};
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) return error;
    error = posix_spawn_file_actions_adddup2(&actions, fileno(file), LEDGER_FD);
    if (!error) error = posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (!error)
        error = posix_spawnp(child, own_path(path, sizeof path), &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    return error;
}

static gr_status run_child(FILE *file, int *status)
{
    pid_t child;
    int error = spawn(file, &child);
    if (error) return gr__fail(GR_ERR_STATE, "cannot start a process: %s", strerror(error));
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR)
            return gr__fail(GR_ERR_STATE, "lost the process of the check: %s", strerror(errno));
    return GR_OK;
}

/* --- what became of it --- */

/* " in swish's forward" */
static void where_text(const ledger *l, char *text, size_t size)
{
    const char *part = watch_part(l->doing), *slash = strrchr(l->path, '/');
    const char *name = l->name[0] ? l->name : slash + 1;
    if (part[0]) snprintf(text, size, "in %s's %s", name, part);
    else snprintf(text, size, "while %s was %s", name, l->name[0] ? "checked" : "loaded");
}

/* "Segmentation fault" as "segmentation fault" */
static void signal_text(int number, char *text, size_t size)
{
    snprintf(text, size, "%s", strsignal(number));
    if (text[0] >= 'A' && text[0] <= 'Z' && text[1] >= 'a') text[0] += 'a' - 'A';
}

/* The process ended without a report: the user's code saw to that. */
static void blame(ledger *l, int status)
{
    char where[160], what[80];
    gr_check_report *r = &l->report;
    *r = (gr_check_report){.verdict = GR_FAIL, .stage = "S0", .order = 1};
    where_text(l, where, sizeof where);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
        snprintf(r->message, sizeof r->message, "no end within %d s, stopped %s", l->timeout,
                 where);
    } else if (WIFSIGNALED(status)) {
        signal_text(WTERMSIG(status), what, sizeof what);
        snprintf(r->message, sizeof r->message, "crashed: %s %s", what, where);
    } else {
        snprintf(r->message, sizeof r->message, "ended the process with exit status %d %s",
                 WEXITSTATUS(status), where);
    }
    if (!l->name[0]) snprintf(l->name, sizeof l->name, "%.63s", strrchr(l->path, '/') + 1);
}

static gr_status check_one(ledger *l, FILE *file, int index)
{
    int status;
    clear_answer(l);
    l->index = index;
    gr_status failed = run_child(file, &status);
    if (failed) return failed;
    mend_answer(l);
    if (l->done && l->error[0]) return gr__fail(GR_ERR_FILE, "%s", l->error);
    if (!l->done) blame(l, status);
    return GR_OK;
}

gr_status check_so(const so_request *q,
                   void (*found)(void *ctx, const char *name, const gr_check_report *r), void *ctx)
{
    FILE *file;
    ledger *l;
    gr_status status = open_ledger(q, &file, &l);
    if (status) return status;
    int index = 0;
    do {
        status = check_one(l, file, index++);
        if (!status) found(ctx, l->name, &l->report);
    } while (!status && index < l->functions);
    munmap(l, sizeof *l);
    fclose(file);
    return status;
}
