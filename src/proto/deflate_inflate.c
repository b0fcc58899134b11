/* deflate_inflate.c - decompressing what permessage-deflate brings (RFC 7692 7.2.2), by zlib.
 *
 * Whatever comes is one stream of blocks with the cut-off tails put back. A block that says it is
 * the last (BFINAL) ends nothing here: some compressors cannot do otherwise (7.2.3.4), and what
 * follows goes on with the same window. So zlib is set back without its window then, which costs
 * the same however large the window is: a peer may send such a block every two bytes. */
#include "proto/deflate.h"

#include "base/check.h"
#include "proto/deflate_zlib.h"

enum {
	AT_BLOCK = 128,         /* z_stream.data_type: between two blocks */
	INPUT_MOST = INT32_MAX, /* zlib counts in unsigned */
};

struct crew__inflater {
	z_stream z;
	bool begun; /* a byte of the present message has come */
	bool final; /* ... and the last one ended a block that said BFINAL */
};

struct crew__inflater *crew__inflater_new(unsigned bits)
{
	crew__must(bits >= CREW__DEFLATE_BITS_LEAST && bits <= CREW__DEFLATE_BITS_MOST);
	struct crew__inflater *f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	crew__zlib_init(&f->z);
	if (inflateInit2(&f->z, -(int)bits) != Z_OK) {
		free(f);
		return NULL;
	}
	return f;
}

void crew__inflater_free(struct crew__inflater *f)
{
	if (f)
		inflateEnd(&f->z);
	free(f);
}

void crew__inflater_reset(struct crew__inflater *f)
{
	inflateReset(&f->z);
	f->begun = false;
	f->final = false;
}

/* As inflate(), but on into what follows a last block. */
static int inflate_on(struct crew__inflater *f)
{
	int r;
	do {
		if (f->z.avail_in > 0)
			f->final = false;
		r = inflate(&f->z, Z_SYNC_FLUSH);
		if (r == Z_STREAM_END) {
			r = inflateResetKeep(&f->z);
			f->final = true;
		}
	} while (r == Z_OK && f->final && f->z.avail_in > 0 && f->z.avail_out > 0);
	return r;
}

enum crew__inflated crew__inflate(
	struct crew__inflater *f, crew_bytes *input, char *room, size_t size, size_t *ret_len)
{
	size_t given = crew__min(input->len, INPUT_MOST);
	size = crew__min(size, INPUT_MOST);
	f->z.next_in = (Bytef *)(uintptr_t)input->data; /* zlib does not write there */
	f->z.avail_in = (uInt)given;
	f->z.next_out = (Bytef *)room;
	f->z.avail_out = (uInt)size;
	if (given > 0)
		f->begun = true;
	int r = inflate_on(f);
	size_t taken = given - f->z.avail_in;
	input->len -= taken;
	if (taken > 0)
		input->data += taken;
	*ret_len = size - f->z.avail_out;
	if (r == Z_MEM_ERROR)
		return CREW__INFLATED_NO_MEMORY;
	if (r != Z_OK && r != Z_BUF_ERROR)
		return CREW__INFLATED_BAD;
	return f->z.avail_out == 0 || input->len > 0 ? CREW__INFLATED_FULL : CREW__INFLATED_ALL;
}

/* Behind a whole message the tail makes an empty block: nothing comes of it, and no block is open.
 * A message without a byte is as good as an empty one, and one that ended by BFINAL has no tail. */
bool crew__inflate_end(struct crew__inflater *f)
{
	static const char tail[] = { 0, 0, '\xFF', '\xFF' };
	bool complete = !f->begun || f->final;
	f->begun = false;
	f->final = false;
	if (complete)
		return true;
	crew_bytes input = { tail, sizeof(tail) };
	char more;
	size_t len;
	enum crew__inflated r = crew__inflate(f, &input, &more, 1, &len);
	f->begun = false;
	return r == CREW__INFLATED_ALL && len == 0 && (f->z.data_type & AT_BLOCK);
}

/* ---- to another process --------------------------------------------------------------------- */

size_t crew__inflater_window(struct crew__inflater *f, char room[CREW__WINDOW_MOST])
{
	uInt len = 0;
	crew__must(!f->begun);
	return inflateGetDictionary(&f->z, (Bytef *)room, &len) == Z_OK ? len : 0;
}

struct crew__inflater *crew__inflater_behind(unsigned bits, crew_bytes window)
{
	if (window.len > (size_t)1 << bits)
		return NULL;
	struct crew__inflater *f = crew__inflater_new(bits);
	if (!f || window.len == 0)
		return f;
	if (inflateSetDictionary(&f->z, (const Bytef *)window.data, (uInt)window.len) == Z_OK)
		return f;
	crew__inflater_free(f);
	return NULL;
}
