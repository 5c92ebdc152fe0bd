/* test_csv_dataset.c - tables: what is read, and how what is wrong is named. */
/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "suite.h"

#include <gradus/data.h>

static gr_dataset *read_with(const char *text, gr_csv_options o)
{
    return gr_csv_dataset(scratch_write("table.csv", text, strlen(text)), o);
}

static void is_refused(const char *text, gr_csv_options o, const char *part)
{
    ck_assert_ptr_null(read_with(text, o));
    ck_assert_msg(strstr(gr_last_error(), part) != NULL, "expected '%s', got '%s'", part,
                  gr_last_error());
}

static void has(const gr_dataset *d, int64_t n, int64_t features, const float *x)
{
    ck_assert_msg(d != NULL, "%s", gr_last_error());
    ck_assert_int_eq(d->n, n);
    ck_assert_int_eq(gr_shape_numel(&d->shape), features);
    for (int64_t i = 0; i < n * features; i++)
        ck_assert_msg(d->x[i] == x[i], "x[%d]: expected %g, got %g", (int)i, (double)x[i],
                      (double)d->x[i]);
}

START_TEST(features_and_named_classes_are_read)
{
    gr_dataset *d = read_with("a,b,kind\n1,2.5,dog\n-3e2,.5,\"cat, the\"\n\n4,5,dog\n",
                              (gr_csv_options){0});
    has(d, 3, 2, (float[]){1, 2.5f, -300, .5f, 4, 5});
    ck_assert_int_eq(d->classes, 2);
    ck_assert_str_eq(d->class_names[0], "cat, the");
    ck_assert_str_eq(d->class_names[1], "dog");
    ck_assert_int_eq(d->y[0], 1);
    ck_assert_int_eq(d->y[1], 0);
    ck_assert_str_eq(d->name, "table.csv");
    gr_dataset_free(d);
}
END_TEST

START_TEST(the_label_may_be_any_column)
{
    static const char text[] = "kind;a\r\n2;7\r\n0;8\r\n";
    gr_dataset *d = read_with(text, (gr_csv_options){.separator = ';', .label = "kind"});
    has(d, 2, 1, (float[]){7, 8});
    ck_assert_int_eq(d->classes, 3);
    ck_assert_int_eq(d->y[0], 2);
    ck_assert_ptr_null(d->class_names);
    gr_dataset_free(d);
    d = read_with(text + 8,
                  (gr_csv_options){.separator = ';', .label_column = 1, .no_header = true});
    has(d, 2, 1, (float[]){7, 8});
    gr_dataset_free(d);
}
END_TEST

START_TEST(a_number_may_be_learned_and_no_label_is_needed)
{
    gr_dataset *d = read_with("a,b\n1,0.5\n2,-4\n", (gr_csv_options){.regression = true});
    has(d, 2, 1, (float[]){1, 2});
    ck_assert_int_eq(d->classes, 0);
    ck_assert(d->has_target);
    ck_assert_float_eq(d->target[1], -4);
    gr_dataset_free(d);
    d = read_with("a,b\n1,0.5\n2,-4\n", (gr_csv_options){.no_label = true});
    has(d, 2, 2, (float[]){1, .5f, 2, -4});
    gr_dataset_free(d);
}
END_TEST

START_TEST(quoted_cells_hold_quotes_lines_and_separators)
{
    gr_dataset *d = read_with("a,kind\n1,\"say \"\"no\"\"\nor, yes\"\n", (gr_csv_options){0});
    has(d, 1, 1, (float[]){1});
    ck_assert_str_eq(d->class_names[0], "say \"no\"\nor, yes");
    gr_dataset_free(d);
}
END_TEST

START_TEST(missing_values_follow_the_policy)
{
    static const char text[] = "a,b,y\n1,,0\nNA,4,1\n5,6,1\n";
    is_refused(text, (gr_csv_options){0}, "table.csv:2: column 2: expected a number");
    gr_dataset *d = read_with(text, (gr_csv_options){.missing = GR_MISSING_DROP});
    has(d, 1, 2, (float[]){5, 6});
    gr_dataset_free(d);
    d = read_with(text, (gr_csv_options){.missing = GR_MISSING_MEAN});
    has(d, 3, 2, (float[]){1, 5, 3, 4, 5, 6});
    gr_dataset_free(d);
    d = read_with(text, (gr_csv_options){.missing = GR_MISSING_FILL, .fill = -1});
    has(d, 3, 2, (float[]){1, -1, -1, 4, 5, 6});
    gr_dataset_free(d);
    is_refused("a,y\n1,\n", (gr_csv_options){.missing = GR_MISSING_FILL}, "expected a label");
    is_refused("a,y\n?,1\n", (gr_csv_options){.missing = GR_MISSING_MEAN}, "no value at all");
}
END_TEST

START_TEST(a_test_file_takes_the_classes_of_training)
{
    gr_dataset *train = read_with("a,k\n1,x\n2,z\n3,y\n", (gr_csv_options){0});
    gr_dataset *test = read_with("a,k\n1,z\n", (gr_csv_options){.like = train});
    ck_assert_msg(test != NULL, "%s", gr_last_error());
    ck_assert_int_eq(test->y[0], 2);
    ck_assert_int_eq(test->classes, 3);
    is_refused("a,k\n1,z\n\n2,w\n", (gr_csv_options){.like = train},
               "table.csv:4: the label 'w' is none of the 3 classes");
    gr_dataset_free(train);
    gr_dataset_free(test);
}
END_TEST

START_TEST(what_is_wrong_is_named_with_file_and_line)
{
    const gr_csv_options plain = {0};
    is_refused("a,b,y\n1,2,0\n\n1,2\n", plain,
               "table.csv:4: expected 3 columns, as in the first line, got 2");
    is_refused("a,y\n1,0\n1x,0\n", plain, "table.csv:3: column 1: expected a number, got '1x'");
    is_refused("a,y\n1e99,0\n", plain, "within float32's range, got '1e99'");
    is_refused("a,y\n\"1,0\n", plain, "table.csv:2: a quote is never closed");
    is_refused("a,y\n\"1\"2,0\n", plain, "table.csv:2: expected ',' or the end of the line");
    is_refused("", plain, "table.csv: the file is empty");
    is_refused("a,y\n", plain, "no rows below the header");
    is_refused("a,y\n1,0\n", (gr_csv_options){.label = "z"}, "no column is named 'z'");
    is_refused("a,y\n1,0\n", (gr_csv_options){.label_column = 3}, "the label is column 3");
    is_refused("a,y\n1,0\n", (gr_csv_options){.label = "y", .no_header = true},
               "there is no header");
    ck_assert_ptr_null(gr_csv_dataset(scratch_path("absent.csv"), plain));
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "absent.csv: cannot open"));
}
END_TEST

static const char good[] = "a,b,\"kind, of\"\n1,2.5,dog\n-3,0.25,\"cat\"\n4,5e1,dog\n6,,cow\n";

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    const char *path = scratch_write("table.csv", good, sizeof good - 1);
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_dataset *d = gr_csv_dataset(path, (gr_csv_options){.missing = GR_MISSING_MEAN});
        done = !inject_happened();
        ck_assert_int_eq(d != NULL, done);
        gr_dataset_free(d);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

static bool reads(const char *path)
{
    gr_dataset *d = gr_csv_dataset(path, (gr_csv_options){.missing = GR_MISSING_MEAN});
    bool taken = d != NULL;
    gr_dataset_free(d);
    return taken;
}

START_TEST(damaged_tables_are_survived)
{
    fuzz("table.csv", good, sizeof good - 1, reads);
}
END_TEST

SUITE("csv_dataset", scratch_begin, scratch_end, features_and_named_classes_are_read,
      the_label_may_be_any_column, a_number_may_be_learned_and_no_label_is_needed,
      quoted_cells_hold_quotes_lines_and_separators, missing_values_follow_the_policy,
      a_test_file_takes_the_classes_of_training, what_is_wrong_is_named_with_file_and_line,
      every_failed_allocation_is_an_error_without_a_leak, damaged_tables_are_survived)
