/* options.c - the options of a subcommand, from a table. */
/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- types --- */

struct option_type {
    bool takes_argument;
    /* Stores the value of `text`, or says in `expected` what it should have been. */
    bool (*parse)(const option *o, const char *text, char *expected, size_t size);
};

static bool parse_flag(const option *o, const char *text, char *expected, size_t size)
{
    (void)text, (void)expected, (void)size;
    *(bool *)o->value = true;
    return true;
}

static bool parse_whole(const option *o, const char *text, char *expected, size_t size)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end != text && !*end && !errno && (double)value >= o->low && (double)value <= o->high) {
        *(int64_t *)o->value = value;
        return true;
    }
    snprintf(expected, size, "a whole number from %.0f to %.0f", o->low, o->high);
    return false;
}

static bool parse_number(const option *o, const char *text, char *expected, size_t size)
{
    char *end;
    double value = strtod(text, &end);
    if (end != text && !*end && value >= o->low && value <= o->high) {
        *(double *)o->value = value;
        return true;
    }
    snprintf(expected, size, "a number from %g to %g", o->low, o->high);
    return false;
}

static bool parse_text(const option *o, const char *text, char *expected, size_t size)
{
    *(const char **)o->value = text;
    if (!*text) snprintf(expected, size, "%s", o->argument);
    return *text;
}

static bool parse_precision(const option *o, const char *text, char *expected, size_t size)
{
    static const char *const names[] = {"float32", "bfloat16"}; /* in the order of gr_precision */
    for (int i = 0; i < 2; i++) {
        if (strcmp(text, names[i]) != 0) continue;
        *(gr_precision *)o->value = (gr_precision)i;
        return true;
    }
    snprintf(expected, size, "%s or %s", names[0], names[1]);
    return false;
}

const option_type option_flag = {false, parse_flag};
const option_type option_whole = {true, parse_whole};
const option_type option_number = {true, parse_number};
const option_type option_text = {true, parse_text};
const option_type option_precision = {true, parse_precision};

void say_precision(gr_precision p)
{
    if (p == GR_PRECISION_BFLOAT16 && !gr_has_bfloat16())
        fprintf(stderr, "this processor has no fast bfloat16: products are of float32\n");
}

/* --- help --- */

static void print_option(const option *o)
{
    char left[64];
    snprintf(left, sizeof left, "--%s %s", o->name, o->argument ? o->argument : "");
    printf("  %-18s %s\n", left, o->help);
}

static void print_help(const usage *u)
{
    printf("gradus %s - %s\n\nusage: gradus %s%s%s [options]\n\n", u->command, u->summary,
           u->command, u->operand ? " " : "", u->operand ? u->operand : "");
    if (u->operand) printf("  %-18s %s\n", u->operand, u->operand_help);
    for (const option *o = u->options; o->name; o++) print_option(o);
    printf("  %-18s %s\n\n%s", "--help", "this text", u->more);
}

/* --- parsing --- */

int options_error(const usage *u, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "gradus %s: ", u->command);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nsee: gradus %s --help\n", u->command);
    va_end(args);
    return USAGE;
}

static const option *find(const usage *u, const char *name, size_t length)
{
    for (const option *o = u->options; o->name; o++)
        if (strlen(o->name) == length && !strncmp(o->name, name, length)) return o;
    return NULL;
}

/* Takes --name, --name value or --name=value; *i moves on to the last word used. */
static int take_option(const usage *u, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2, *value = strchr(name, '=');
    const option *o = find(u, name, value ? (size_t)(value - name) : strlen(name));
    char expected[128];
    if (!o) return options_error(u, "unknown option '%s'", argv[*i]);
    if (value && !o->type->takes_argument)
        return options_error(u, "--%s takes no value, got '%s'", o->name, value + 1);
    if (value) value++;
    else if (o->type->takes_argument && *i + 1 < argc) value = argv[++*i];
    else if (o->type->takes_argument)
        return options_error(u, "--%s: expected %s after it", o->name, o->argument);
    if (o->type->parse(o, value, expected, sizeof expected)) return DONE;
    return options_error(u, "--%s: expected %s, got '%s'", o->name, expected, value);
}

static int take_operand(const usage *u, const char *word)
{
    if (u->operand_value && !*u->operand_value) *u->operand_value = word;
    else return options_error(u, "unexpected '%s'", word);
    return DONE;
}

int options_parse(const usage *u, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
            print_help(u);
            return -1;
        }
    for (int i = 1; i < argc; i++) {
        bool dashes = !strncmp(argv[i], "--", 2) && argv[i][2];
        bool dash = argv[i][0] == '-' && argv[i][1];
        int status = dashes ? take_option(u, argc, argv, &i)
                     : dash ? options_error(u, "unknown option '%s'", argv[i])
                            : take_operand(u, argv[i]);
        if (status) return status;
    }
    return DONE;
}
