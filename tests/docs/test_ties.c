/* test_ties.c - the documented table of ties is what the ops say; --update writes it. */
/* SPDX-License-Identifier: MIT */
#include <gradus/op.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEGIN "<!-- ties -->\n"
#define END "<!-- end -->"

static char page[200000], table[100000];

static void add(const char *text)
{
    size_t n = strlen(table);
    snprintf(table + n, sizeof table - n, "%s", text);
}

/* A cell of the table: bars would end it. */
static void add_cell(const char *text)
{
    add(" ");
    for (; *text; text++) {
        const char one[] = {*text, 0};
        add(*text == '|' ? "\\|" : one);
    }
    add(" |");
}

/* Family by family, in the order of the registry. */
static int make_table(void)
{
    int rows = 0;
    add("| op | family | at a tie or kink |\n| --- | --- | --- |\n");
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        char name[64];
        if (!op->ties) continue;
        snprintf(name, sizeof name, "`%s`", op->name);
        add("|");
        add_cell(name);
        add_cell(op->family);
        add_cell(op->ties);
        add("\n");
        rows++;
    }
    return rows;
}

static size_t read_page(void)
{
    FILE *file = fopen(PAGE, "rb");
    size_t n = file ? fread(page, 1, sizeof page - 1, file) : 0;
    if (file) fclose(file);
    return n;
}

/* Every kinked op says what it does; an op without kinks has nothing to say. */
static int count_silent(void)
{
    int silent = 0;
    for (int i = 0; i < gr_op_count(); i++) {
        const gr_op *op = gr_op_at(i);
        if (!op->branch || op->ties) continue;
        printf("%s has kinks and does not say what it does there\n", op->name);
        silent++;
    }
    return silent;
}

int main(int argc, char **argv)
{
    const int rows = make_table(), silent = count_silent();
    const size_t n = read_page();
    char *begin = strstr(page, BEGIN), *end = begin ? strstr(begin, END) : NULL;
    if (!n || !end || rows < 10) {
        printf("%s: no table between %s and %s\n", PAGE, BEGIN, END);
        return EXIT_FAILURE;
    }
    begin += strlen(BEGIN);
    bool same = (size_t)(end - begin) == strlen(table) && !memcmp(begin, table, strlen(table));
    if (!same && argc > 1 && !strcmp(argv[1], "--update")) {
        FILE *file = fopen(PAGE, "wb");
        if (!file) return EXIT_FAILURE;
        *begin = 0;
        fprintf(file, "%s%s%s%s", page, table, END, end + strlen(END));
        return fclose(file) ? EXIT_FAILURE : EXIT_SUCCESS;
    }
    if (!same) printf("%s is not what the ops say; run this program with --update\n", PAGE);
    return same && !silent ? EXIT_SUCCESS : EXIT_FAILURE;
}
