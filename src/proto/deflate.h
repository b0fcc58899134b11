/* deflate.h - permessage-deflate's two directions (RFC 7692): a message's bytes in, bytes out.
 *
 * No frames and no negotiation (ws.h, web/ws_extension.h): who calls knows what was agreed. A
 * compressor or decompressor either belongs to a connection and keeps its window from message to
 * message ("context takeover"), or is a worker's, shared by all its connections, and begins each
 * message anew. One of `bits` costs, with zlib:
 *
 *   deflater   2^(bits+2) + 128 KiB + 6 KiB    bits 15: 262 KiB; bits 9: 136 KiB
 *   inflater   2^bits + 7 KiB                  bits 15: 39 KiB; bits 9: 7.5 KiB
 *
 * A connection's own deflater may be freed at any time, while it is idle say: the next one begins
 * with an empty window, which the peer does not notice. Its inflater must live as long as it does,
 * as the peer may refer to what it sent long ago. */
#ifndef CREW_PROTO_DEFLATE_H
#define CREW_PROTO_DEFLATE_H

#include "base/base.h"
#include "base/buf.h"

enum {
	CREW__DEFLATE_BITS_LEAST = 8, /* RFC 7692 7.1.2: windows of 256 bytes ... */
	CREW__DEFLATE_BITS_MOST = 15, /* ... to 32 KiB */
	CREW__DEFLATE_LEVEL = 6,
};

/* ---- compressing --------------------------------------------------------------------------- */

struct crew__deflater;

/* `bits` 8 to 15: no byte is referred to that lies further back than 2^bits. `level` 1 to 9. NULL
 * without memory. (zlib has no raw windows of 8 bits: with 9 its matches reach 250 bytes back, as
 * it keeps 262 of the window free; so a peer that asks for server_max_window_bits=8 is served.) */
struct crew__deflater *crew__deflater_new(unsigned bits, int level);
void crew__deflater_free(struct crew__deflater *d); /* NULL is allowed */

/* Compress a whole message behind what `out` holds. `takeover`: refer to earlier messages, and let
 * later ones refer to this one; without, it stands by itself. 0; 1: it is not made shorter, send it
 * plain: `out` is as it was, and the window is empty; -ENOBUFS (`out` is at its limit), -ENOMEM:
 * nothing has happened. Never more than body.len bytes are asked of `out`, and a few. */
int crew__deflate(struct crew__deflater *d, crew_bytes body, bool takeover, struct crew__buf *out);

/* A message in parts: each is appended to `out` so that the peer can decompress all up to there;
 * `last` ends the message. Before the first of a message that may not refer to earlier ones:
 * crew__deflater_reset(). 0, -ENOBUFS, -ENOMEM: then the message cannot be ended, and the window is
 * empty. */
int crew__deflate_part(struct crew__deflater *d, crew_bytes body, bool last, struct crew__buf *out);

/* Forget the window. */
void crew__deflater_reset(struct crew__deflater *d);

/* ---- decompressing ------------------------------------------------------------------------- */

struct crew__inflater;

/* `bits` 8 to 15: at least what the peer compresses with. NULL without memory. */
struct crew__inflater *crew__inflater_new(unsigned bits);
void crew__inflater_free(struct crew__inflater *f); /* NULL is allowed */
void crew__inflater_reset(struct crew__inflater *f);

enum crew__inflated {
	CREW__INFLATED_ALL,  /* the input is taken, and all that comes of it is there */
	CREW__INFLATED_FULL, /* the room is full: call again with what is left, be it nothing */
	CREW__INFLATED_BAD,  /* no such thing is compressed data */
	CREW__INFLATED_NO_MEMORY,
};

/* Take from `input` (which moves on) and write at most `size` > 0 bytes. After ..._BAD and
 * ..._NO_MEMORY only reset and free may follow. */
enum crew__inflated crew__inflate(
	struct crew__inflater *f, crew_bytes *input, char *room, size_t size, size_t *ret_len);

/* The message ends here: what its sender cut off (00 00 FF FF) is put back. False when it ends in
 * the middle of something. The window stays: the next message may follow. */
bool crew__inflate_end(struct crew__inflater *f);

/* Between two messages: what later ones may refer to, at most 32 KiB; and an inflater that goes on behind
 * it, with a window of `bits`. NULL without memory, or when it is longer than that. */
enum {
	CREW__WINDOW_MOST = 32 * 1024
};
size_t crew__inflater_window(struct crew__inflater *f, char room[CREW__WINDOW_MOST]);
struct crew__inflater *crew__inflater_behind(unsigned bits, crew_bytes window);

/* ---- shared by a worker's connections ------------------------------------------------------- */

/* Inflaters without takeover: lent for as long as a message is under way. So many messages at most
 * are under way decompressed; of others the compressed bytes are gathered until they are all there.
 * Thus 10,000 stalled peers cost what they have sent, and not 10,000 windows. */
struct crew__deflate_shared {
	struct crew__deflater
		*deflaters[CREW__DEFLATE_BITS_MOST + 1]; /* by bits, made when asked for */
	struct crew__inflater *idle[4];
	unsigned idle_count, lent;
	unsigned lent_most; /* CREW__INFLATERS_LENT */
};

enum {
	CREW__INFLATERS_LENT = 64
};

/* In place; it owns nothing yet. */
void crew__deflate_shared_init(struct crew__deflate_shared *s);
/* After the last connection's codec: nothing may be lent. */
void crew__deflate_shared_fini(struct crew__deflate_shared *s);

/* The worker's compressor with that window, for messages without takeover; NULL without memory. */
struct crew__deflater *crew__deflate_shared_deflater(struct crew__deflate_shared *s, unsigned bits);

/* Lend one (15 bits), which begins anew. `whole`: it is given back before anything else runs, or it
 * is for a message that is told in parts; it does not count. NULL when enough are lent, or without
 * memory (errno tells: ENOBUFS, ENOMEM). */
struct crew__inflater *crew__inflater_lend(struct crew__deflate_shared *s, bool whole);
void crew__inflater_return(struct crew__deflate_shared *s, struct crew__inflater *f, bool whole);

#endif
