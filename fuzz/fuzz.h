/* fuzz.h - what the fuzzing drivers share. A driver is a file fuzz_NAME.c with the one function
 * that libFuzzer calls (https://llvm.org/docs/LibFuzzer.html); its saved inputs are in
 * corpus/NAME/. What must hold, the drivers say by crew__must; what must not happen, the sanitizers
 * see. */
#ifndef CREW_FUZZ_FUZZ_H
#define CREW_FUZZ_FUZZ_H

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte of the input says how the driver is to go about the rest. 0 when there is none. */
static inline unsigned take_byte(const uint8_t **data, size_t *size)
{
	if (*size == 0)
		return 0;
	(*size)--;
	return *(*data)++;
}

/* Exactly these bytes in memory of their own, so that looking beyond them is noticed. */
static inline char *copy_of(const void *data, size_t len)
{
	char *copy = malloc(len ? len : 1);
	crew__must(copy);
	if (len > 0)
		memcpy(copy, data, len);
	return copy;
}

/* How an input is cut into the pieces in which it arrives: by an xorshift of the seed. */
struct cutter {
	uint32_t state;
};

static inline struct cutter cutter_of(unsigned seed)
{
	return (struct cutter){ seed * 2654435761u + 1 };
}

static inline uint32_t cutter_next(struct cutter *c)
{
	c->state ^= c->state << 13;
	c->state ^= c->state >> 17;
	c->state ^= c->state << 5;
	return c->state;
}

/* The length of the next piece: 1 to `left`, short ones more often; 0 when nothing is left. */
static inline size_t cut(struct cutter *c, size_t left)
{
	static const size_t most[] = { 1, 2, 7, 40, 300, SIZE_MAX, 1, 16 };
	size_t limit = most[cutter_next(c) % 8];
	limit = limit < left ? limit : left;
	return limit <= 1 ? limit : 1 + cutter_next(c) % limit;
}

/* What came of an input, written down to be compared with what came of it in another way. */
struct transcript {
	char *data;
	size_t len, room;
};

static inline void note(struct transcript *t, const void *data, size_t len)
{
	if (t->room - t->len < len) {
		t->room = (t->len + len) * 2;
		t->data = realloc(t->data, t->room);
		crew__must(t->data);
	}
	if (len > 0)
		memcpy(t->data + t->len, data, len);
	t->len += len;
}

static inline void note_number(struct transcript *t, uint64_t number)
{
	note(t, &number, sizeof(number));
}

/* With its length, so that two views are not taken for one. */
static inline void note_bytes(struct transcript *t, crew_bytes bytes)
{
	note_number(t, bytes.data ? bytes.len : UINT64_MAX);
	note(t, bytes.data, bytes.len);
}

static inline bool same(const struct transcript *a, const struct transcript *b)
{
	return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

#endif
