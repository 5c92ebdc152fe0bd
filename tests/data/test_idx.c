/* test_idx.c - what the IDX reader takes and what it rejects. */
/* SPDX-License-Identifier: MIT */
#include "fuzz.h"
#include "suite.h"

#include <gradus/data.h>
#include <string.h>
#include <zlib.h>

static gr_dtype dtype;
static gr_shape shape;
static void *data;

static void end(void)
{
    gr_free_memory(data);
    data = NULL;
    scratch_end();
}

static gr_status read_bytes(const void *bytes, size_t n)
{
    const char *path = scratch_write("file.idx", bytes, n);
    gr_free_memory(data);
    return gr_idx_read(path, &dtype, &shape, &data);
}

#define READ(...) \
    read_bytes((const unsigned char[]){__VA_ARGS__}, sizeof(const unsigned char[]){__VA_ARGS__})

static void failed_with(gr_status status, gr_status expected, const char *part)
{
    ck_assert_int_eq(status, expected);
    ck_assert_ptr_eq(data, NULL);
    ck_assert_msg(strstr(gr_last_error(), part) && strstr(gr_last_error(), "file.idx"),
                  "expected the path and '%s', got '%s'", part, gr_last_error());
}

/* gzip of n bytes, to be freed. */
static unsigned char *zip(const void *bytes, size_t n, size_t *zipped)
{
    z_stream z = {0};
    size_t room = n + n / 100 + 100;
    unsigned char *out = malloc(room);
    ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (unsigned)n;
    z.next_out = out;
    z.avail_out = (unsigned)room;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    *zipped = room - z.avail_out;
    deflateEnd(&z);
    return out;
}

/* Reads the gzip of `bytes` of which the last `less` bytes are missing. */
static gr_status read_zipped(const void *bytes, size_t n, size_t less)
{
    size_t zipped;
    unsigned char *packed = zip(bytes, n, &zipped);
    gr_status status = read_bytes(packed, zipped - less);
    free(packed);
    return status;
}

static const unsigned char matrix[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255};

static void is_matrix(gr_status status)
{
    ck_assert_msg(status == GR_OK, "%s", gr_last_error());
    ck_assert_int_eq(dtype, GR_U8);
    ck_assert(gr_shape_equal(&shape, &GR_SHAPE(2, 3)));
    ck_assert_mem_eq(data, matrix + 12, 6);
}

START_TEST(bytes_are_read_plain_and_zipped)
{
    is_matrix(read_bytes(matrix, sizeof matrix));
    is_matrix(read_zipped(matrix, sizeof matrix, 0));
}
END_TEST

START_TEST(signed_integers_become_int64)
{
    ck_assert_int_eq(READ(0, 0, 9, 1, 0, 0, 0, 2, 0x7F, 0x80), GR_OK);
    ck_assert_int_eq(dtype, GR_I64);
    ck_assert_int_eq(((int64_t *)data)[0], 127);
    ck_assert_int_eq(((int64_t *)data)[1], -128);
    ck_assert_int_eq(READ(0, 0, 0x0B, 1, 0, 0, 0, 2, 1, 0, 0xFF, 0xFE), GR_OK);
    ck_assert_int_eq(((int64_t *)data)[0], 256);
    ck_assert_int_eq(((int64_t *)data)[1], -2);
    ck_assert_int_eq(READ(0, 0, 0x0C, 1, 0, 0, 0, 1, 0x80, 0, 0, 0), GR_OK);
    ck_assert_int_eq(((int64_t *)data)[0], INT32_MIN);
}
END_TEST

START_TEST(floats_keep_their_width)
{
    ck_assert_int_eq(READ(0, 0, 0x0D, 1, 0, 0, 0, 1, 0x3F, 0xC0, 0, 0), GR_OK);
    ck_assert_int_eq(dtype, GR_F32);
    ck_assert_float_eq(*(float *)data, 1.5f);
    ck_assert_int_eq(READ(0, 0, 0x0E, 1, 0, 0, 0, 1, 0xC0, 4, 0, 0, 0, 0, 0, 0), GR_OK);
    ck_assert_int_eq(dtype, GR_F64);
    ck_assert_double_eq(*(double *)data, -2.5);
}
END_TEST

START_TEST(empty_arrays_and_scalars_are_valid)
{
    ck_assert_int_eq(READ(0, 0, 8, 2, 0, 0, 0, 0, 0, 0, 0, 3), GR_OK);
    ck_assert(gr_shape_equal(&shape, &GR_SHAPE(0, 3)));
    ck_assert_int_eq(READ(0, 0, 8, 0, 7), GR_OK);
    ck_assert_int_eq(shape.rank, 0);
    ck_assert_int_eq(*(unsigned char *)data, 7);
}
END_TEST

START_TEST(wrong_magic_numbers_are_rejected)
{
    failed_with(READ(1, 0, 8, 1, 0, 0, 0, 0), GR_ERR_FORMAT, "not an IDX file");
    failed_with(READ(0, 0, 7, 1, 0, 0, 0, 0), GR_ERR_FORMAT, "begins with 00 00 07 01");
    failed_with(READ(0, 0, 8, 9, 0, 0, 0, 0), GR_ERR_FORMAT, "rank of at most 8, got 9");
}
END_TEST

START_TEST(files_cut_off_anywhere_are_rejected)
{
    for (size_t n = 0; n < sizeof matrix; n++)
        failed_with(read_bytes(matrix, n), GR_ERR_FORMAT, "expected");
    size_t zipped;
    free(zip(matrix, sizeof matrix, &zipped));
    for (size_t less = 1; less < zipped; less++)
        failed_with(read_zipped(matrix, sizeof matrix, less), GR_ERR_FORMAT, "cut off");
}
END_TEST

START_TEST(bytes_behind_the_data_are_rejected)
{
    unsigned char longer[sizeof matrix + 1] = {0};
    memcpy(longer, matrix, sizeof matrix);
    failed_with(read_bytes(longer, sizeof longer), GR_ERR_FORMAT, "expected 6 bytes of data");
    failed_with(read_zipped(longer, sizeof longer, 0), GR_ERR_FORMAT, "more data than its header");
    size_t zipped;
    unsigned char *packed = zip(matrix, sizeof matrix, &zipped);
    packed = realloc(packed, zipped + 2);
    memset(packed + zipped, 0, 2);
    failed_with(read_bytes(packed, zipped + 2), GR_ERR_FORMAT, "2 bytes follow");
    free(packed);
}
END_TEST

START_TEST(damaged_gzip_is_rejected_wherever_the_damage_is)
{
    size_t zipped;
    unsigned char *packed = zip(matrix, sizeof matrix, &zipped);
    for (size_t i = 10; i < zipped; i++) { /* the first ten bytes say little that matters */
        packed[i] ^= 0x55;
        ck_assert_msg(read_bytes(packed, zipped) == GR_ERR_FORMAT, "byte %zu", i);
        packed[i] ^= 0x55;
    }
    free(packed);
}
END_TEST

START_TEST(absurd_sizes_are_rejected_before_anything_is_allocated_for_them)
{
    static const unsigned char large[] = {0, 0, 8, 2, 0x7F, 0, 0, 0, 0, 0, 1, 0, 1, 2};
    static const unsigned char overflow[] = {0,    0,    8,    3,    0xFF, 0xFF, 0xFF, 0xFF,
                                             0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    inject_begin();
    failed_with(read_bytes(large, sizeof large), GR_ERR_FORMAT, "expected 545460846592 bytes");
    failed_with(read_zipped(large, sizeof large, 0), GR_ERR_FORMAT, "can hold");
    failed_with(read_bytes(overflow, sizeof overflow), GR_ERR_FORMAT, "too large");
    ck_assert_int_lt(inject_largest(), 100000);
    ck_assert_int_eq(inject_live(), 0);
    inject_end();
}
END_TEST

START_TEST(highly_compressed_data_is_read)
{
    size_t n = 1 << 20;
    unsigned char *zeros = calloc(n + 8, 1);
    memcpy(zeros, (unsigned char[]){0, 0, 8, 1, 0, 0x10, 0, 0}, 8);
    ck_assert_msg(read_zipped(zeros, n + 8, 0) == GR_OK, "%s", gr_last_error());
    ck_assert_int_eq(shape.dim[0], (int64_t)n);
    free(zeros);
}
END_TEST

START_TEST(a_missing_file_is_named)
{
    ck_assert_int_eq(gr_idx_read(scratch_path("none"), &dtype, &shape, &data), GR_ERR_FILE);
    ck_assert_ptr_nonnull(strstr(gr_last_error(), "/none: cannot open"));
}
END_TEST

START_TEST(every_failed_allocation_is_an_error_without_a_leak)
{
    static const unsigned char floats[] = {0, 0, 0x0D, 1, 0, 0, 0, 1, 0x3F, 0xC0, 0, 0};
    size_t zipped;
    unsigned char *packed = zip(floats, sizeof floats, &zipped);
    const char *path = scratch_write("floats.gz", packed, zipped);
    free(packed);
    inject_begin();
    for (int64_t n = 0, done = 0; !done; n++) {
        inject_allocation(n);
        gr_status status = gr_idx_read(path, &dtype, &shape, &data);
        done = !inject_happened();
        ck_assert_int_eq(status, done ? GR_OK : GR_ERR_MEMORY);
        ck_assert_int_eq(data != NULL, done);
        gr_free_memory(data);
        data = NULL;
        ck_assert_int_eq(inject_live(), 0);
        ck_assert_int_eq(inject_open_files(), 0);
    }
    inject_end();
}
END_TEST

START_TEST(every_failed_file_operation_is_an_error_without_a_leak)
{
    static const inject_call calls[] = {INJECT_OPEN, INJECT_READ, INJECT_SHORT_READ, INJECT_SIZE};
    const char *path = scratch_write("file.idx", matrix, sizeof matrix);
    inject_begin();
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        inject_file(calls[i], 0);
        failed_with(gr_idx_read(path, &dtype, &shape, &data), GR_ERR_FILE, "");
        ck_assert(inject_happened());
        ck_assert_int_eq(inject_live(), 0);
        ck_assert_int_eq(inject_open_files(), 0);
    }
    inject_end();
}
END_TEST

static bool reads(const char *path)
{
    void *read;
    gr_status status = gr_idx_read(path, &dtype, &shape, &read);
    gr_free_memory(read);
    return !status;
}

START_TEST(damaged_files_are_survived)
{
    size_t zipped;
    unsigned char *packed = zip(matrix, sizeof matrix, &zipped);
    fuzz("file.idx", matrix, sizeof matrix, reads);
    fuzz("file.idx", packed, zipped, reads);
    free(packed);
}
END_TEST

SUITE("idx", scratch_begin, end, bytes_are_read_plain_and_zipped, signed_integers_become_int64,
      floats_keep_their_width, empty_arrays_and_scalars_are_valid, wrong_magic_numbers_are_rejected,
      files_cut_off_anywhere_are_rejected, bytes_behind_the_data_are_rejected,
      damaged_gzip_is_rejected_wherever_the_damage_is,
      absurd_sizes_are_rejected_before_anything_is_allocated_for_them,
      highly_compressed_data_is_read, a_missing_file_is_named,
      every_failed_allocation_is_an_error_without_a_leak,
      every_failed_file_operation_is_an_error_without_a_leak, damaged_files_are_survived)
