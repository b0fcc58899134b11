/* buf.c - see buf.h. */
#include "base/buf.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

enum {
	SMALLEST = 256
};

void crew__buf_init(struct crew__buf *b, size_t max)
{
	*b = (struct crew__buf){ .max = (uint32_t)crew__min(max, INT32_MAX) };
}

int crew__buf_reserve(struct crew__buf *b, size_t more)
{
	if (more <= b->cap - b->len)
		return 0;
	if (more > b->max - b->len)
		return -ENOBUFS;
	size_t need = b->len + more;
	size_t cap = crew__max(crew__max((size_t)b->cap * 2, need), SMALLEST);
	cap = crew__min(cap, b->max);
	char *data = realloc(b->data, cap);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = (uint32_t)cap;
	return 0;
}

int crew__buf_append(struct crew__buf *b, const void *data, size_t len)
{
	if (len == 0)
		return 0;
	int error = crew__buf_reserve(b, len);
	if (error)
		return error;
	memcpy(b->data + b->len, data, len);
	b->len += (uint32_t)len;
	return 0;
}

void crew__buf_consume(struct crew__buf *b, size_t n)
{
	crew__must(n <= b->len);
	b->len -= (uint32_t)n;
	if (b->len > 0 && n > 0)
		memmove(b->data, b->data + n, b->len);
}

void crew__buf_release(struct crew__buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = 0;
	b->cap = 0;
}
