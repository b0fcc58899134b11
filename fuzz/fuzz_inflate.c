/* fuzz_inflate.c - compressed messages: the same bytes come of them however input and room are cut,
 * and never more than the room; what was compressed comes out as it was, with any window, whole and
 * in parts; and after anything an inflater that is set back is as new. */
#include "fuzz.h"

#include "proto/deflate.h"

enum {
	OUTPUT_MOST = 1 << 20, /* of a bomb this much is looked at */
	ROOM_MOST = 5000,
};

static struct crew__inflater *inflater_of(unsigned bits)
{
	struct crew__inflater *f = crew__inflater_new(bits);
	crew__must(f);
	return f;
}

static size_t room_of(struct cutter *cutter)
{
	return cutter_next(cutter) % 4 == 0 ? 1 : 1 + cutter_next(cutter) % ROOM_MOST;
}

/* One piece of input; false when it is damaged, or more than anybody looks at. */
static bool inflate_piece(
	struct crew__inflater *f, crew_bytes piece, struct cutter *cutter, struct transcript *t)
{
	enum crew__inflated r = CREW__INFLATED_FULL;
	while (r == CREW__INFLATED_FULL && t->len < OUTPUT_MOST) {
		size_t n, size = room_of(cutter);
		char *room = malloc(size);
		crew__must(room);
		r = crew__inflate(f, &piece, room, size, &n);
		crew__must(n <= size && r != CREW__INFLATED_NO_MEMORY);
		crew__must(r != CREW__INFLATED_ALL || piece.len == 0);
		note(t, room, n);
		free(room);
	}
	return r == CREW__INFLATED_ALL;
}

static bool inflate_all(struct crew__inflater *f, const char *data, size_t size, unsigned seed,
	struct transcript *t)
{
	struct cutter cutter = cutter_of(seed);
	for (size_t at = 0; at < size;) {
		size_t n = seed == 0 ? size : cut(&cutter, size - at);
		char *piece = copy_of(data + at, n);
		bool good = inflate_piece(f, (crew_bytes){ piece, n }, &cutter, t);
		free(piece);
		if (!good)
			return false;
		at += n;
	}
	return crew__inflate_end(f);
}

static void as_new(struct crew__inflater *f)
{
	struct transcript t = { 0 };
	crew__inflater_reset(f);
	crew__must(inflate_all(f, "\xF2\x48\xCD\xC9\xC9\x07\x00", 7, 0, &t));
	crew__must(t.len == 5 && memcmp(t.data, "Hello", 5) == 0);
	free(t.data);
}

static bool begins_as(const struct transcript *longer, const struct transcript *shorter)
{
	return shorter->len == 0 || (shorter->len <= longer->len &&
					    memcmp(longer->data, shorter->data, shorter->len) == 0);
}

/* Bytes of which nothing is known. What reaches behind a small window is damage only where it lies
 * no longer in the room: there, and of a bomb, one way may come further than the other. */
static void take_anything(const uint8_t *data, size_t size, unsigned seed, unsigned bits)
{
	struct transcript one = { 0 }, other = { 0 };
	struct crew__inflater *f = inflater_of(bits), *g = inflater_of(bits);
	bool good = inflate_all(f, (const char *)data, size, 0, &one);
	bool also = inflate_all(g, (const char *)data, size, seed + 1, &other);
	bool bomb = one.len >= OUTPUT_MOST || other.len >= OUTPUT_MOST;
	crew__must(begins_as(&one, &other) || begins_as(&other, &one));
	crew__must(!good || !also || same(&one, &other));
	if (bits == CREW__DEFLATE_BITS_MOST && !bomb)
		crew__must(good == also && same(&one, &other));
	as_new(f);
	as_new(g);
	crew__inflater_free(f);
	crew__inflater_free(g);
	free(one.data);
	free(other.data);
}

/* Compress the next message of `data`, whole or in parts, behind what `out` holds. */
static bool compress(struct crew__deflater *d, crew_bytes body, struct cutter *cutter,
	bool takeover, struct crew__buf *out)
{
	if (cutter_next(cutter) % 2)
		return crew__deflate(d, body, takeover, out) == 0;
	if (!takeover)
		crew__deflater_reset(d);
	for (size_t at = 0; at < body.len;) {
		size_t n = cut(cutter, body.len - at);
		bool last = at + n == body.len;
		crew_bytes part = { body.data + at, n };
		crew__must(crew__deflate_part(d, part, last, out) == 0);
		at += n;
	}
	return true;
}

static void there_and_back(const uint8_t *data, size_t size, unsigned seed, unsigned bits)
{
	struct cutter cutter = cutter_of(seed);
	bool takeover = seed & 1;
	struct crew__deflater *d = crew__deflater_new(bits, 1 + (int)seed % 9);
	struct crew__inflater *f = inflater_of(bits);
	crew__must(d);
	for (size_t at = 0; at < size;) {
		size_t n = cut(&cutter, size - at);
		crew_bytes body = { (const char *)data + at, n };
		struct transcript told = { 0 };
		struct crew__buf out;
		crew__buf_init(&out, INT32_MAX);
		if (compress(d, body, &cutter, takeover, &out)) {
			if (!takeover)
				crew__inflater_reset(f);
			crew__must(inflate_all(f, out.data, out.len, seed + 1, &told));
			crew__must(told.len == n && memcmp(told.data, body.data, n) == 0);
		}
		crew__buf_release(&out);
		free(told.data);
		at += n;
	}
	crew__deflater_free(d);
	crew__inflater_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned way = take_byte(&data, &size), seed = take_byte(&data, &size);
	unsigned bits = 8 + (way >> 1) % 8;
	if (size == 0)
		return 0;
	if (way % 2)
		there_and_back(data, size, seed, bits);
	else
		take_anything(data, size, seed, bits);
	return 0;
}
