/* main.c - the gradus command. */
/* SPDX-License-Identifier: MIT */
#include "check_so.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const command commands[] = {
    {"train", "train a network and evaluate it on held-out data", train_run},
    {"predict", "classify with trained weights", predict_run},
    {"check", "check the gradients of all ops, or of a trained network", check_run},
    {"flow", "where in a network values or gradients vanish or explode", flow_run},
    {"ops", "list the ops, or show one in full", ops_run},
    {CHECK_SO_COMMAND, NULL, check_so_run}, /* not for users */
};
enum { COMMANDS = sizeof commands / sizeof *commands };

/* --- shared --- */

int fail(const char *name)
{
    fprintf(stderr, "gradus %s: %s\n", name, gr_last_error());
    return FAILED;
}

bool print_text(const gr__text *t)
{
    errno = 0;
    if (t->failed) gr__fail(GR_ERR_MEMORY, "out of memory");
    else if (fwrite(t->data ? t->data : "", 1, t->len, stdout) == t->len && !fflush(stdout))
        return true;
    else gr__fail(GR_ERR_FILE, "standard output: %s", strerror(errno));
    return false;
}

/* --- main --- */

static void print_help(FILE *out)
{
    fprintf(out, "gradus - train networks and check gradients by reverse-mode differentiation\n\n"
                 "usage: gradus COMMAND [options]\n\n");
    for (int i = 0; i < COMMANDS; i++)
        if (commands[i].summary)
            fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "  %-10s %s\n  %-10s %s\n\n", "--help", "this text; after a command, its options",
            "--version", "the version");
    fprintf(out, "example:\n  gradus train lenet5 --data digits --out out\n"
                 "  gradus check --model lenet5 --weights out/model.safetensors\n");
}

static bool is(const char *word, const char *a, const char *b)
{
    return !strcmp(word, a) || !strcmp(word, b);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return USAGE;
    }
    if (is(argv[1], "--help", "-h") || is(argv[1], "help", "help")) {
        print_help(stdout);
        return DONE;
    }
    if (is(argv[1], "--version", "-V")) {
        printf("gradus %s\n", gr_version());
        return DONE;
    }
    for (int i = 0; i < COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name)) return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "gradus: unknown command '%s'\nsee: gradus --help\n", argv[1]);
    return USAGE;
}
