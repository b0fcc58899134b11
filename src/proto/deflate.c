/* deflate.c - compressing messages for permessage-deflate (RFC 7692 7.2.1), by zlib.
 *
 * A message is compressed and flushed to a byte boundary (Z_SYNC_FLUSH), which ends it with an
 * empty stored block; the last four bytes of that, 00 00 FF FF, are not sent. libdeflate, which
 * does our gzip, makes no such end and keeps no window. */
#include "proto/deflate.h"

#include "base/check.h"
#include "proto/deflate_zlib.h"

enum {
	TAIL_SIZE = 4, /* 00 00 FF FF */
	BITS_ZLIB = 9, /* the smallest window that zlib compresses raw with */
	MEM_LEVEL = 8, /* 2^(8+9) bytes for hash chains and pending output */
	CHUNK_LEAST = 256,
	CHUNK_MOST = 64 * 1024,
	BODY_MOST = 1 << 30, /* zlib counts in unsigned */
};

struct crew__deflater {
	z_stream z;
	bool used; /* since the window was empty */
};

static void *zero_alloc(void *unused, unsigned count, unsigned size)
{
	(void)unused;
	return calloc(count, size);
}

static void give_back(void *unused, void *memory)
{
	(void)unused;
	free(memory);
}

void crew__zlib_init(z_stream *z)
{
	*z = (z_stream){ .zalloc = zero_alloc, .zfree = give_back };
}

struct crew__deflater *crew__deflater_new(unsigned bits, int level)
{
	crew__must(bits >= CREW__DEFLATE_BITS_LEAST && bits <= CREW__DEFLATE_BITS_MOST);
	struct crew__deflater *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	crew__zlib_init(&d->z);
	int window = -(int)crew__max(bits, BITS_ZLIB);
	if (deflateInit2(&d->z, level, Z_DEFLATED, window, MEM_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) {
		free(d);
		return NULL;
	}
	return d;
}

void crew__deflater_free(struct crew__deflater *d)
{
	if (d)
		deflateEnd(&d->z);
	free(d);
}

/* It clears a table of 64 KiB, so only where there is something to forget. */
void crew__deflater_reset(struct crew__deflater *d)
{
	if (d->used)
		deflateReset(&d->z);
	d->used = false;
}

static void give_input(struct crew__deflater *d, crew_bytes body)
{
	d->z.next_in = (Bytef *)(uintptr_t)body.data; /* zlib does not write there */
	d->z.avail_in = (uInt)body.len;
	d->used = true;
}

/* Flush what was given into the room behind `out`. True when all of it fitted. */
static bool flush(struct crew__deflater *d, struct crew__buf *out, size_t room)
{
	d->z.next_out = (Bytef *)out->data + out->len;
	d->z.avail_out = (uInt)room;
	int r = deflate(&d->z, Z_SYNC_FLUSH);
	out->len += (uint32_t)(room - d->z.avail_out);
	crew__must(r == Z_OK || r == Z_BUF_ERROR); /* it takes no memory, and all input is good */
	return d->z.avail_out > 0;
}

int crew__deflate(struct crew__deflater *d, crew_bytes body, bool takeover, struct crew__buf *out)
{
	if (!takeover)
		crew__deflater_reset(d);
	if (body.len == 0 || body.len > BODY_MOST)
		return 1;
	/* What does not fit here, its tail included, is not shorter. */
	int error = crew__buf_reserve(out, body.len + TAIL_SIZE);
	if (error)
		return error;
	uint32_t before = out->len;
	give_input(d, body);
	bool whole = flush(d, out, body.len + TAIL_SIZE);
	if (whole && out->len - before < body.len + TAIL_SIZE) {
		out->len -= TAIL_SIZE;
		return 0;
	}
	/* The peer will not see this one: nothing may refer to it. */
	out->len = before;
	crew__deflater_reset(d);
	return 1;
}

/* All of what was given, however long it gets. */
static int flush_all(struct crew__deflater *d, struct crew__buf *out)
{
	size_t chunk = crew__min(crew__max(d->z.avail_in / 2, CHUNK_LEAST), CHUNK_MOST);
	bool whole = false;
	while (!whole) {
		int error = crew__buf_reserve(out, chunk);
		if (error)
			return error;
		whole = flush(d, out, chunk);
	}
	return 0;
}

int crew__deflate_part(struct crew__deflater *d, crew_bytes body, bool last, struct crew__buf *out)
{
	/* All before was flushed: the first byte of an empty stored block is enough of an end. */
	if (body.len == 0)
		return last ? crew__buf_append(out, "", 1) : 0;
	if (body.len > BODY_MOST)
		return -ENOBUFS;
	uint32_t before = out->len;
	give_input(d, body);
	int error = flush_all(d, out);
	if (error) {
		out->len = before;
		crew__deflater_reset(d);
		return error;
	}
	if (last)
		out->len -= TAIL_SIZE;
	return 0;
}
