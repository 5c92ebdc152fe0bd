/* test_numpy.c - npy and npz: what NumPy writes is read, and what is written reads back. */
/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "suite.h"

#include <gradus/data.h>
#include <gradus/io.h>
#include <math.h>
#include <stdio.h>

static gr_dtype dtype;
static gr_shape shape;
static void *data;

static void end(void)
{
    gr_free_memory(data);
    data = NULL;
    scratch_end();
}

/* An npy file with this dict and these elements. */
static size_t make(char *file, const char *dict, const void *elements, size_t bytes)
{
    size_t n = strlen(dict);
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (char)n;
    file[9] = (char)(n >> 8);
    memcpy(file + 10, dict, n);
    if (bytes) memcpy(file + 10 + n, elements, bytes);
    return 10 + n + bytes;
}

static gr_status read_made(const char *dict, const void *elements, size_t bytes)
{
    char file[4096];
    size_t n = make(file, dict, elements, bytes);
    gr_free_memory(data);
    return gr_npy_read(scratch_write("a.npy", file, n), &dtype, &shape, &data);
}

static void is_refused(const char *dict, size_t bytes, const char *part)
{
    static const char zeros[256];
    ck_assert_int_eq(read_made(dict, zeros, bytes), GR_ERR_FORMAT);
    ck_assert_ptr_null(data);
    ck_assert_msg(strstr(gr_last_error(), part) && strstr(gr_last_error(), "a.npy"),
                  "expected the file and '%s', got '%s'", part, gr_last_error());
}

#define DICT(descr, order, size) \
    "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " size ", }\n"

START_TEST(every_type_is_converted_from_either_order_of_bytes)
{
    static const struct {
        const char *dict;
        unsigned char bytes[8];
        size_t n;
        gr_dtype dtype;
        double expected;
    } cases[] = {
        {DICT("<f4", "False", "()"), {0, 0, 0xC0, 0x3F}, 4, GR_F32, 1.5},
        {DICT(">f4", "False", "()"), {0x3F, 0xC0, 0, 0}, 4, GR_F32, 1.5},
        {DICT("<f8", "False", "()"), {0, 0, 0, 0, 0, 0, 4, 0xC0}, 8, GR_F64, -2.5},
        {DICT("<f2", "False", "()"), {0x00, 0xC1}, 2, GR_F32, -2.5},
        {DICT("<f2", "False", "()"), {0x01, 0x00}, 2, GR_F32, 0x1p-24},
        {DICT("|i1", "False", "()"), {0xFE}, 1, GR_I64, -2},
        {DICT(">i2", "False", "()"), {0xFF, 0xFE}, 2, GR_I64, -2},
        {DICT("<i4", "False", "()"), {0xFE, 0xFF, 0xFF, 0xFF}, 4, GR_I64, -2},
        {DICT("<i8", "False", "()"), {7}, 8, GR_I64, 7},
        {DICT("|u1", "False", "()"), {200}, 1, GR_U8, 200},
        {DICT("<u2", "False", "()"), {0xFE, 0xFF}, 2, GR_I64, 65534},
        {DICT("<u4", "False", "()"), {0xFF, 0xFF, 0xFF, 0xFF}, 4, GR_I64, 4294967295},
        {DICT("|b1", "False", "()"), {1}, 1, GR_BOOL, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(!read_made(cases[i].dict, cases[i].bytes, cases[i].n), "%s", gr_last_error());
        ck_assert_int_eq(dtype, cases[i].dtype);
        ck_assert_int_eq(shape.rank, 0);
        double got = dtype == GR_F32   ? (double)*(float *)data
                     : dtype == GR_F64 ? *(double *)data
                     : dtype == GR_I64 ? (double)*(int64_t *)data
                                       : *(unsigned char *)data;
        ck_assert_msg(got == cases[i].expected, "case %d: expected %g, got %g", (int)i,
                      cases[i].expected, got);
    }
}
END_TEST

START_TEST(halves_have_their_infinities)
{
    ck_assert(!read_made(DICT("<f2", "False", "(3,)"),
                         (const unsigned char[]){0, 0x7C, 0, 0xFC, 1, 0x7C}, 6));
    ck_assert(isinf(((float *)data)[0]) && ((float *)data)[1] == -INFINITY);
    ck_assert(isnan(((float *)data)[2]));
}
END_TEST

START_TEST(column_major_arrays_become_row_major)
{
    static const unsigned char columns[] = {1, 4, 2, 5, 3, 6}, rows[] = {1, 2, 3, 4, 5, 6};
    ck_assert(!read_made(DICT("|u1", "True", "(2, 3)"), columns, 6));
    ck_assert(gr_shape_equal(&shape, &GR_SHAPE(2, 3)));
    ck_assert_mem_eq(data, rows, 6);
}
END_TEST

START_TEST(dicts_that_are_not_numpys_are_refused_with_the_place)
{
    is_refused("{'descr': '<f4', 'fortran_order': False}\n", 4, "three keys");
    is_refused("{'descr': '<f4', 'descr': '<f4', 'shape': ()}\n", 4, "no other key");
    is_refused("{'descr': '<f4', 'fortran_order': 0, 'shape': ()}\n", 4, "True or False");
    is_refused(DICT("|O", "False", "()"), 8, "got '|O'");
    is_refused(DICT("<c8", "False", "()"), 8, "got '<c8'");
    is_refused(DICT("<U4", "False", "()"), 16, "got '<U4'");
    is_refused(DICT("<f4", "False", "(1,1,1,1,1,1,1,1,1)"), 4, "at most 8 axes");
    is_refused(DICT("<f4", "False", "(99999999999999999999,)"), 4, "fits in 64 bits");
    is_refused(DICT("<f4", "False", "(4611686018427387904, 4)"), 4, "fits in memory");
    is_refused(DICT("<f4", "False", "(-1,)"), 4, "a size");
    is_refused(DICT("<f4", "False", "(2, 3)"), 23, "expected 6 elements [2,3] of 4 bytes, got 23");
    is_refused(DICT("<f4", "False", "(2, 3)"), 28, "got 28");
}
END_TEST

START_TEST(arrays_that_are_written_read_back)
{
    static const double numbers[] = {1, -0.0, 1e300, 5e-324, 3, 4};
    const char *path = scratch_path("b.npy");
    ck_assert_msg(!gr_npy_write(path, GR_F64, &GR_SHAPE(2, 3), numbers), "%s", gr_last_error());
    ck_assert_msg(!gr_npy_read(path, &dtype, &shape, &data), "%s", gr_last_error());
    ck_assert_int_eq(dtype, GR_F64);
    ck_assert(gr_shape_equal(&shape, &GR_SHAPE(2, 3)));
    ck_assert_mem_eq(data, numbers, sizeof numbers);
    gr_free_memory(data);
    ck_assert(!gr_npy_write(path, GR_I64, &GR_SHAPE(0, 7), NULL));
    ck_assert(!gr_npy_read(path, &dtype, &shape, &data));
    ck_assert(gr_shape_equal(&shape, &GR_SHAPE(0, 7)));
    ck_assert_int_eq(gr_npy_write(path, GR_DTYPES, &GR_SHAPE(1), numbers), GR_ERR_ARGUMENT);
}
END_TEST

/* --- npz --- */

static const float weights[] = {1, 2, 3, 4, 5, 6};
static const int64_t labels[] = {-1, 7};

static gr_status write_two(const char *path, bool compress)
{
    const gr_array arrays[] = {
        {"fc.weight", "F32", GR_SHAPE(2, 3), weights, sizeof weights},
        {"labels", "I64", GR_SHAPE(2), labels, sizeof labels},
    };
    return gr_npz_write(path, arrays, 2, compress);
}

START_TEST(named_arrays_read_back_stored_and_deflated)
{
    for (int compress = 0; compress < 2; compress++) {
        const char *path = scratch_path("c.npz");
        ck_assert_msg(!write_two(path, compress), "%s", gr_last_error());
        gr_npz *f = gr_npz_open(path);
        ck_assert_msg(f != NULL, "%s", gr_last_error());
        ck_assert_int_eq(gr_npz_count(f), 2);
        ck_assert_str_eq(gr_npz_at(f, 1)->name, "labels");
        const gr_array *a = gr_npz_find(f, "fc.weight");
        ck_assert_ptr_nonnull(a);
        ck_assert_str_eq(a->dtype, "F32");
        ck_assert(gr_shape_equal(&a->shape, &GR_SHAPE(2, 3)));
        ck_assert_mem_eq(a->data, weights, sizeof weights);
        ck_assert_mem_eq(gr_npz_at(f, 1)->data, labels, sizeof labels);
        ck_assert_ptr_null(gr_npz_find(f, "bias"));
        ck_assert_ptr_null(gr_npz_at(f, 2));
        gr_npz_close(f);
    }
}
END_TEST

START_TEST(arrays_that_cannot_be_written_are_errors)
{
    const char *path = scratch_path("c.npz");
    gr_array twice[] = {{"a", "F32", GR_SHAPE(6), weights, sizeof weights},
                        {"a", "F32", GR_SHAPE(6), weights, sizeof weights}};
    ck_assert_int_eq(gr_npz_write(path, twice, 2, false), GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "two arrays are named 'a'"));
    twice[1].name = "b";
    twice[1].dtype = "BF16";
    ck_assert_int_eq(gr_npz_write(path, twice, 2, false), GR_ERR_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "array 1 'b'"));
    ck_assert_int_eq(scratch_files(), 0);
}
END_TEST

static bool reads_npy(const char *path)
{
    void *read;
    gr_status status = gr_npy_read(path, &dtype, &shape, &read);
    gr_free_memory(read);
    return !status;
}

static bool reads_npz(const char *path)
{
    gr_npz *f = gr_npz_open(path);
    bool taken = f != NULL;
    gr_npz_close(f);
    return taken;
}

START_TEST(damaged_files_are_survived)
{
    char file[256];
    size_t n = make(file, DICT("<f4", "True", "(2, 3)"), weights, sizeof weights);
    fuzz("a.npy", file, n, reads_npy);
    for (int compress = 0; compress < 2; compress++) {
        ck_assert(!write_two(scratch_path("good.npz"), compress));
        char *good = scratch_read("good.npz", &n);
        fuzz("c.npz", good, n, reads_npz);
        free(good);
    }
}
END_TEST

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    const char *path = scratch_path("c.npz");
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_npz *f = write_two(path, true) ? NULL : gr_npz_open(path);
        done = !inject_happened();
        ck_assert_int_eq(f != NULL, done);
        gr_npz_close(f);
        ck_assert_int_eq(inject_live(), 0);
    }
    inject_end();
}
END_TEST

/* Both ways through NumPy itself, where it is installed. */
START_TEST(numpy_reads_what_is_written_and_the_other_way_round)
{
    char command[4096];
    const char *folder = scratch_folder();
    if (system("/usr/bin/python3 -c 'import numpy' 2>/dev/null")) return;
    ck_assert(!write_two(scratch_path("ours.npz"), true));
    snprintf(command, sizeof command,
             "/usr/bin/python3 -c \"import numpy as n; a = n.load('%s/ours.npz');"
             " assert a['fc.weight'].tolist() == [[1,2,3],[4,5,6]] and a['labels'][0] == -1;"
             " n.savez('%s/stored.npz', x=n.asfortranarray(a['fc.weight']), y=n.float16(0.1));"
             " n.savez_compressed('%s/deflated.npz', x=a['fc.weight'], y=n.float16(0.1))\"",
             folder, folder, folder);
    ck_assert_int_eq(system(command), 0);
    static const char *const names[] = {"stored.npz", "deflated.npz"};
    for (int i = 0; i < 2; i++) {
        gr_npz *f = gr_npz_open(scratch_path(names[i]));
        ck_assert_msg(f != NULL, "%s", gr_last_error());
        ck_assert_mem_eq(gr_npz_find(f, "x")->data, weights, sizeof weights);
        ck_assert_float_eq(*(const float *)gr_npz_find(f, "y")->data, 0.0999755859375f);
        gr_npz_close(f);
    }
}
END_TEST

SUITE("numpy", scratch_begin, end, every_type_is_converted_from_either_order_of_bytes,
      halves_have_their_infinities, column_major_arrays_become_row_major,
      dicts_that_are_not_numpys_are_refused_with_the_place, arrays_that_are_written_read_back,
      named_arrays_read_back_stored_and_deflated, arrays_that_cannot_be_written_are_errors,
      damaged_files_are_survived, every_failed_allocation_is_an_error_without_a_leak,
      numpy_reads_what_is_written_and_the_other_way_round)
