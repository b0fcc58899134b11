/* base.h - the few words that every other file uses. */
#ifndef CREW_BASE_BASE_H
#define CREW_BASE_BASE_H

#include <crew/crew.h>

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define crew__likely(x)      __builtin_expect(!!(x), 1)
#define crew__unlikely(x)    __builtin_expect(!!(x), 0)
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

#endif
