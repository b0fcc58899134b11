/* fuzz_ws_reply.c - the answer to a client's WebSocket handshake: judged the same whole and in
 * pieces; and what is agreed to was offered. */
#include "fuzz.h"

#include "web/ws_client.h"

static const char protocols[] = "chat.v2 chat.v1";

static int64_t in_pieces(const struct crew__ws_ask *ask, const char *data, size_t size,
	struct cutter *cutter, struct crew__ws_reply *ret_reply, char error[256])
{
	uint32_t scanned = 0;
	size_t len = 0;
	int64_t result = 0;
	do {
		len += cut(cutter, size - len);
		char *copy = copy_of(data, len);
		result = crew__ws_reply_read(
			ask, (crew_bytes){ copy, len }, &scanned, ret_reply, error, 256);
		free(copy);
	} while (result == 0 && len < size);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned way = take_byte(&data, &size);
	const struct crew__ws_ask ask = {
		.key = "dGhlIHNhbXBsZSBub25jZQ==",
		.protocols = way & 1 ? protocols : NULL,
		.deflate = way & 2,
		.resets = way & 4,
	};
	char *copy = copy_of(data, size), error[256] = "", other[256] = "";
	struct crew__ws_reply reply, again;
	uint32_t scanned = 0;
	struct cutter cutter = cutter_of(way >> 3);
	int64_t result = crew__ws_reply_read(
		&ask, (crew_bytes){ copy, size }, &scanned, &reply, error, sizeof(error));
	int64_t cut_up = in_pieces(&ask, copy, size, &cutter, &again, other);
	crew__must(result == cut_up && result <= (int64_t)size && reply.status == again.status);
	crew__must(result >= 0 || (error[0] && strcmp(error, other) == 0));
	if (result > 0) {
		crew__must(reply.status == 101 || crew__ws_reply_is_interim(&reply));
		crew__must(reply.protocol.data == again.protocol.data);
		crew__must(reply.protocol.len == 0 || (way & 1));
		crew__must(!reply.terms.deflate || (way & 2));
	}
	free(copy);
	return 0;
}
