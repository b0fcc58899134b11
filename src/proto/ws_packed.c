/* ws_packed.c - compressed messages: from masked payload to inflated bytes, by the block.
 *
 * Payload is unmasked into a block beside, never where it lies: when a part is full in the middle
 * of it, what is left must be found as it came. The inflated bytes are bounded as they are made:
 * the buffer stops at max_message, and one byte more is asked for to see whether there is one.
 *
 * When parts are told, a full part may leave more inside the inflater though all payload was given
 * to it. Then one byte is said to be left (`ahead`), so that the caller comes back for it. */
#include "proto/ws_packed.h"

#include "base/utf8.h"
#include "proto/ws_mask.h"

enum {
	BLOCK = 2048,
	PART = 16 * 1024,
	ROOM_LEAST = 512,
};

static bool no_memory(struct crew__ws_event *e)
{
	return crew__ws_bad(e, CREW__WS_BAD_MEMORY, "no memory for a compressed message");
}

static bool too_long(struct crew__ws_event *e)
{
	return crew__ws_bad(e, CREW__WS_BAD_SIZE, "a message is longer than max_message");
}

static bool parts(const struct crew__ws *ws)
{
	return ws->special & CREW__WS_PARTS;
}

/* ---- the inflater --------------------------------------------------------------------------- */

/* Parts must be told as they come, so for them it is never done without an inflater. */
bool crew__ws_packed_begin(struct crew__ws *ws, struct crew__ws_event *e)
{
	ws->gathers = false;
	ws->ahead = false;
	if (ws->shared)
		ws->inflater = crew__inflater_lend(ws->shared, parts(ws));
	else if (!ws->inflater)
		ws->inflater = crew__inflater_new(ws->bits);
	if (ws->inflater)
		return true;
	if (!ws->shared || errno != ENOBUFS)
		return no_memory(e);
	ws->gathers = true;
	return true;
}

void crew__ws_packed_release(struct crew__ws *ws)
{
	if (!ws->inflater)
		return;
	if (ws->shared)
		crew__inflater_return(ws->shared, ws->inflater, parts(ws));
	else
		crew__inflater_free(ws->inflater);
	ws->inflater = NULL;
}

/* ---- inflating into `message` ---------------------------------------------------------------- */

/* Room behind what there is: `ret_room` 0 when it is full. */
static bool make_room(struct crew__ws *ws, size_t hint, size_t *ret_room, struct crew__ws_event *e)
{
	struct crew__buf *b = &ws->message;
	if (parts(ws) && b->max < PART)
		b->max = PART;
	size_t most = parts(ws) ? PART : b->max;
	if (b->len < most && b->len == b->cap) {
		size_t more = parts(ws) ? PART : crew__max(hint, ROOM_LEAST);
		if (crew__buf_reserve(b, crew__min(more, most - b->len)) < 0)
			return no_memory(e);
	}
	*ret_room = crew__min(b->cap, most) - b->len;
	return true;
}

static bool judge(enum crew__inflated r, struct crew__ws_event *e)
{
	if (r == CREW__INFLATED_NO_MEMORY)
		return no_memory(e);
	if (r == CREW__INFLATED_BAD)
		return crew__ws_bad(e, CREW__WS_BAD_DATA, "compressed data is damaged");
	return true;
}

/* Is there anything more, now that the message is as long as it may be? */
static bool nothing_more(struct crew__inflater *f, crew_bytes *input, struct crew__ws_event *e)
{
	char more;
	size_t n;
	enum crew__inflated r = crew__inflate(f, input, &more, 1, &n);
	return judge(r, e) && (n == 0 || too_long(e));
}

/* Inflate `input` until it is all there, or a part is full (`ret_full`). */
static bool inflate_block(struct crew__ws *ws, struct crew__inflater *f, crew_bytes *input,
	bool *ret_full, struct crew__ws_event *e)
{
	struct crew__buf *b = &ws->message;
	enum crew__inflated r = CREW__INFLATED_FULL;
	*ret_full = false;
	while (r == CREW__INFLATED_FULL) {
		size_t room = 0, n = 0;
		if (!make_room(ws, 4 * input->len, &room, e))
			return false;
		if (room == 0) {
			*ret_full = parts(ws);
			return parts(ws) || nothing_more(f, input, e);
		}
		char *to = b->data + b->len;
		r = crew__inflate(f, input, to, room, &n);
		b->len += (uint32_t)n;
		if (ws->opcode == CREW__WS_OP_TEXT && !crew__utf8_feed(&ws->utf8, to, n))
			return crew__ws_bad(e, CREW__WS_BAD_DATA, "a text is not valid UTF-8");
	}
	return judge(r, e);
}

/* ---- payload --------------------------------------------------------------------------------- */

/* A part that is not the last. */
static void tell_part(const struct crew__ws *ws, struct crew__ws_event *e)
{
	e->kind = CREW__WS_PART;
	e->text = ws->opcode == CREW__WS_OP_TEXT;
	e->body = (crew_bytes){ ws->message.data, ws->message.len };
}

static size_t inflate_payload(
	struct crew__ws *ws, const char *data, size_t len, struct crew__ws_event *e)
{
	char block[BLOCK];
	size_t at = ws->ahead; /* what the inflater was given of `data` */
	bool full = false;
	do {
		size_t n = crew__min(len - at, BLOCK);
		crew__ws_mask_copy(block, data + at, n,
			crew__ws_key(ws->mask, (unsigned)(ws->mask_at + at) & 3));
		crew_bytes input = { block, n };
		if (!inflate_block(ws, ws->inflater, &input, &full, e))
			return len;
		at += n - input.len;
	} while (at < len && !full);
	ws->ahead = full && at == len;
	if (full)
		tell_part(ws, e);
	return at - ws->ahead;
}

/* Compressed data that cannot be inflated now. It may be a little longer than what it stands for,
 * when that does not compress. */
static size_t gather_payload(
	struct crew__ws *ws, const char *data, size_t len, struct crew__ws_event *e)
{
	struct crew__buf *b = &ws->message;
	const uint32_t max = b->max;
	size_t most = crew__min((size_t)max + max / 8 + 64, INT32_MAX);
	if (b->len > most || len > most - b->len) {
		too_long(e);
		return len;
	}
	b->max = (uint32_t)most;
	int error = crew__buf_reserve(b, len);
	b->max = max;
	if (error) {
		no_memory(e);
		return len;
	}
	crew__ws_mask_copy(b->data + b->len, data, len, crew__ws_key(ws->mask, ws->mask_at));
	b->len += (uint32_t)len;
	return len;
}

size_t crew__ws_packed_take(
	struct crew__ws *ws, const char *data, size_t len, struct crew__ws_event *e)
{
	return ws->gathers ? gather_payload(ws, data, len, e) : inflate_payload(ws, data, len, e);
}

/* What was gathered is inflated at once. */
static bool inflate_gathered(struct crew__ws *ws, struct crew__ws_event *e)
{
	struct crew__inflater *f = crew__inflater_lend(ws->shared, true);
	if (!f)
		return no_memory(e);
	struct crew__buf packed = ws->message;
	crew_bytes input = { packed.data, packed.len };
	bool full;
	crew__buf_init(&ws->message, packed.max);
	bool good = inflate_block(ws, f, &input, &full, e);
	if (good && !crew__inflate_end(f))
		good = crew__ws_bad(e, CREW__WS_BAD_DATA, "compressed data ends too early");
	crew__inflater_return(ws->shared, f, true);
	crew__buf_release(&packed);
	return good;
}

bool crew__ws_packed_end(struct crew__ws *ws, struct crew__ws_event *e)
{
	if (ws->gathers)
		return inflate_gathered(ws, e);
	if (!crew__inflate_end(ws->inflater))
		return crew__ws_bad(e, CREW__WS_BAD_DATA, "compressed data ends too early");
	if (ws->shared)
		crew__ws_packed_release(ws);
	return true;
}
