/* malloc for partitions, over the `heap_bytes` of the manifest: first fit. What is not given away is
   all zero. */
#include <stdint.h>

#include "psa/service.h"
#include "ringfort/memory.h"

struct block {
    uint32_t size; /* bytes after this header, by 8 */
    uint32_t used;
};

extern char __heap_start[], __heap_end[];

static struct block *next(const struct block *block)
{
    return (struct block *)((char *)(block + 1) + block->size);
}

static int is_end(const struct block *block)
{
    return (const char *)block >= __heap_end;
}

static struct block *first(void)
{
    struct block *block = (struct block *)__heap_start;
    /* All zero after a start of the partition: one free block. */
    if (!is_end(block) && block->size == 0) {
        block->size = (uint32_t)(__heap_end - __heap_start) - sizeof *block;
    }
    return block;
}

static struct block *find(const void *memory)
{
    for (struct block *block = first(); !is_end(block); block = next(block)) {
        if (block + 1 == memory && block->used) {
            return block;
        }
    }
    psa_panic();
}

void *malloc(size_t size)
{
    if (size > (size_t)(__heap_end - __heap_start)) {
        return NULL;
    }
    uint32_t wanted = size == 0 ? 8 : (size + 7u) & ~7u;
    for (struct block *block = first(); !is_end(block); block = next(block)) {
        if (block->used || block->size < wanted) {
            continue;
        }
        uint32_t rest = block->size - wanted;
        if (rest > sizeof *block) {
            block->size = wanted;
            next(block)->size = rest - sizeof *block;
        }
        block->used = 1;
        return block + 1;
    }
    return NULL;
}

void free(void *memory)
{
    if (memory == NULL) {
        return;
    }
    struct block *freed = find(memory);
    memset(memory, 0, freed->size);
    freed->used = 0;
    for (struct block *block = first(); !is_end(block); block = next(block)) {
        struct block *after = next(block);
        while (!block->used && !is_end(after) && !after->used) {
            block->size += sizeof *after + after->size;
            memset(after, 0, sizeof *after);
            after = next(block);
        }
    }
}

void *calloc(size_t count, size_t size)
{
    return size != 0 && count > SIZE_MAX / size ? NULL : malloc(count * size);
}

void *realloc(void *memory, size_t size)
{
    void *other = malloc(size);
    if (memory != NULL && other != NULL) {
        uint32_t had = find(memory)->size;
        memcpy(other, memory, had < size ? had : size);
        free(memory);
    }
    return other;
}
