/* inject.h - makes the library's allocations and file operations fail, one after the other.
 *
 *     inject_begin();
 *     for (int64_t n = 0, done = 0; !done; n++) {
 *         inject_allocation(n);
 *         thing *t = thing_new();                    allocates
 *         done = !inject_happened();                 the first n for which nothing failed
 *         inject_none();
 *         ck_assert(done == (t != NULL));
 *         thing_free(t);
 *         ck_assert_int_eq(inject_live(), 0);        nothing leaked
 *     }
 *     inject_end();
 */
/* SPDX-License-Identifier: MIT */
#ifndef INJECT_H
#define INJECT_H

#include <stdbool.h>
#include <stdint.h>

void inject_begin(void); /* takes over the library's memory and files; counts from 0 */
void inject_end(void);   /* gives them back */

/* --- one failure to come --- */

typedef enum inject_call {
    INJECT_OPEN,
    INJECT_READ,        /* fails with EIO */
    INJECT_SHORT_READ,  /* the file ends early: half of what was asked, then nothing */
    INJECT_WRITE,       /* fails with ENOSPC */
    INJECT_SHORT_WRITE, /* half is written, then ENOSPC */
    INJECT_SIZE,
    INJECT_SYNC,
    INJECT_CLOSE, /* closes, and says that it failed */
    INJECT_RENAME,
    INJECT_REMOVE,
    INJECT_CHMOD, /* only where a file is replaced */
    INJECT_LIST,
    INJECT_CALLS
} inject_call;

void inject_allocation(int64_t n);             /* the n-th from now fails; 0: the next */
void inject_file(inject_call call, int64_t n); /* the n-th such call from now fails */
void inject_none(void);                        /* nothing fails */
bool inject_happened(void);                    /* whether the failure last asked for took place */

/* --- counts since inject_begin --- */

int64_t inject_allocations(void); /* how many there were */
int64_t inject_live(void);        /* blocks not given back; those from before count when freed */
int64_t inject_live_bytes(void);
int64_t inject_largest(void); /* bytes of the largest block that was asked for */
int64_t inject_open_files(void);

#endif
