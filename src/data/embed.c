/* embed.c - build tool: writes the bytes of a file as a C array.
 *
 *   embed input output.c name
 */
/* SPDX-License-Identifier: MIT */
#include <stdio.h>

static int failed(const char *path)
{
    perror(path);
    return 1;
}

static void write_array(FILE *in, FILE *out, const char *name)
{
    unsigned long n = 0;
    fprintf(out, "#include \"embedded.h\"\n\nconst unsigned char %s[] = {", name);
    for (int c; (c = getc(in)) != EOF; n++) fprintf(out, "%s%d,", n % 24 ? "" : "\n", c);
    fprintf(out, "\n};\nconst size_t %s_bytes = %lu;\n", name, n);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: embed input output.c name\n");
        return 2;
    }
    FILE *in = fopen(argv[1], "rb");
    if (!in) return failed(argv[1]);
    FILE *out = fopen(argv[2], "w");
    if (!out) {
        fclose(in);
        return failed(argv[2]);
    }
    write_array(in, out, argv[3]);
    int bad = ferror(in) || ferror(out);
    fclose(in);
    return fclose(out) || bad ? failed(argv[2]) : 0;
}
