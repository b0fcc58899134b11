#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum {
	BLOCK_LEAST = 4096,
	BLOCK_MOST = 64 * 1024, /* a reset keeps no larger one */
};

struct crew__arena_block {
	struct crew__arena_block *older;
	size_t size;
	alignas(max_align_t) char data[];
};

static size_t aligned(size_t size)
{
	const size_t unit = alignof(max_align_t);
	return (size + unit - 1) & ~(unit - 1);
}

static bool add_block(struct crew__arena *a, size_t size)
{
	size_t wanted = a->block ? crew__min(a->block->size * 2, BLOCK_MOST) : BLOCK_LEAST;
	if (wanted < size)
		wanted = size;
	if (a->taken > a->max || a->max - a->taken < wanted)
		wanted = size;
	if (a->taken > a->max || a->max - a->taken < wanted)
		return false;
	struct crew__arena_block *block = malloc(sizeof(*block) + wanted);
	if (!block)
		return false;
	block->older = a->block;
	block->size = wanted;
	a->block = block;
	a->used = 0;
	a->taken += wanted;
	return true;
}

void *crew__arena_take(struct crew__arena *a, size_t size)
{
	if (size > a->max || size > SIZE_MAX / 4)
		return NULL;
	size = aligned(size);
	if ((!a->block || a->block->size - a->used < size) && !add_block(a, size))
		return NULL;
	void *piece = a->block->data + a->used;
	a->used += size;
	return piece;
}

crew_bytes crew__arena_copy(struct crew__arena *a, crew_bytes bytes)
{
	char *copy = bytes.len < SIZE_MAX ? crew__arena_take(a, bytes.len + 1) : NULL;
	if (!copy)
		return (crew_bytes){ NULL, 0 };
	if (bytes.len > 0)
		memcpy(copy, bytes.data, bytes.len);
	copy[bytes.len] = '\0';
	return (crew_bytes){ copy, bytes.len };
}

void *crew__arena_grow(
	struct crew__arena *a, void *array, size_t *capacity, size_t count, size_t element)
{
	if (array && count <= *capacity)
		return array;
	size_t wanted = *capacity > 0 && array ? *capacity : 8;
	while (wanted < count && wanted <= SIZE_MAX / 2)
		wanted *= 2;
	size_t bytes;
	if (__builtin_mul_overflow(wanted, element, &bytes))
		return NULL;
	void *larger = crew__arena_take(a, bytes);
	if (!larger)
		return NULL;
	if (array)
		memcpy(larger, array, *capacity * element);
	*capacity = wanted;
	return larger;
}

static void drop_older(struct crew__arena *a, struct crew__arena_block *block)
{
	while (block) {
		struct crew__arena_block *older = block->older;
		a->taken -= block->size;
		free(block);
		block = older;
	}
}

void crew__arena_reset(struct crew__arena *a)
{
	if (!a->block)
		return;
	if (a->block->size > BLOCK_MOST) {
		crew__arena_release(a);
		return;
	}
	drop_older(a, a->block->older);
	a->block->older = NULL;
	a->used = 0;
}

void crew__arena_release(struct crew__arena *a)
{
	drop_older(a, a->block);
	a->block = NULL;
	a->used = 0;
}
