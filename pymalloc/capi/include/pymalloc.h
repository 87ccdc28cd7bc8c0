/* pymalloc: what libpymalloc.so and libpymalloc.a define beyond <stdlib.h> and <malloc.h>.
 *
 * malloc, calloc, realloc, reallocarray, free, aligned_alloc, memalign, posix_memalign,
 * valloc, pvalloc, malloc_usable_size, malloc_trim, malloc_stats, mallinfo, mallinfo2, and
 * C++'s operators new and delete, are declared where they always are. */
#ifndef PYMALLOC_H
#define PYMALLOC_H

#include <malloc.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#if defined(__THROW)
#define PYMALLOC_NOTHROW __THROW
#elif defined(__cplusplus)
#define PYMALLOC_NOTHROW noexcept
#else
#define PYMALLOC_NOTHROW
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* C23's; C libraries have them since 2024 (glibc 2.43). The sizes are not needed, nor checked. */
void free_sized(void *block, size_t size) PYMALLOC_NOTHROW;
void free_aligned_sized(void *block, size_t alignment, size_t size) PYMALLOC_NOTHROW;

/* Whether an address, any address, lies in this allocator's memory. */
bool pymalloc_owns(const void *address) PYMALLOC_NOTHROW;

/* Walks the heap and checks its invariants, as far as the calling thread may look; false, and
 * a line on standard error, at the first that does not hold. For tests, and for a hunt
 * after a wild write: it costs as much as the heap is large. */
bool pymalloc_verify_heap(void) PYMALLOC_NOTHROW;

#ifdef __cplusplus
}
#endif

#endif
