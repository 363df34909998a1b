/* Memory for partitions, where no C library's headers are: the heap of `heap_bytes`, and what a
   compiler asks for by itself. */
#ifndef RINGFORT_MEMORY_H
#define RINGFORT_MEMORY_H
#include <stddef.h>

/* New memory is zero; NULL when there is none left. What is freed is wiped. */
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
/* Always another block, with what fits of the old one. */
void *realloc(void *memory, size_t size);
/* Whoever frees what is no block has failed. */
void free(void *memory);

void *memcpy(void *to, const void *from, size_t len);
void *memmove(void *to, const void *from, size_t len);
void *memset(void *to, int value, size_t len);
int memcmp(const void *one, const void *other, size_t len);

#endif
