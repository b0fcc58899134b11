/* base.h - the few words that every other file uses. */
#ifndef CREW_BASE_BASE_H
#define CREW_BASE_BASE_H

#include <crew/crew.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define crew__likely(x)      __builtin_expect(!!(x), 1)
#define crew__unlikely(x)    __builtin_expect(!!(x), 0)
/* Kept out of the way of what usually happens: neither inlined there nor placed between. */
#define crew__rarely         __attribute__((noinline, cold))
#define crew__lengthof(a)    (sizeof(a) / sizeof((a)[0]))
#define crew__container_of(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

static inline size_t crew__min(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline size_t crew__max(size_t a, size_t b)
{
	return a > b ? a : b;
}

/* memcpy for what is mostly short: two overlapping moves instead of a call. */
static inline void crew__copy(char *to, const char *from, size_t len)
{
	if (crew__likely(len - 8 <= 24)) { /* 8 to 32 */
		uint64_t a, b, c, d;
		size_t middle = len < 16 ? 0 : 8;
		memcpy(&a, from, 8);
		memcpy(&b, from + middle, 8);
		memcpy(&c, from + len - 8 - middle, 8);
		memcpy(&d, from + len - 8, 8);
		memcpy(to, &a, 8);
		memcpy(to + middle, &b, 8);
		memcpy(to + len - 8 - middle, &c, 8);
		memcpy(to + len - 8, &d, 8);
	} else if (len > 0) {
		memcpy(to, from, len);
	}
}

#endif
