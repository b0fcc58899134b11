#include "net/rate.h"

enum {
	HUNDREDTHS = 100,
	CHUNK_LEAST = 1460, /* less is not worth a segment of its own */
};

void crew__rate_set(
	struct crew__rate *rate, uint64_t bytes_per_s, uint64_t messages_per_s, uint32_t now)
{
	*rate = (struct crew__rate){
		.bytes_per_s = bytes_per_s,
		.messages_per_s = messages_per_s,
		.bytes = bytes_per_s * HUNDREDTHS,
		.messages = messages_per_s * HUNDREDTHS,
		.at = now,
	};
}

/* Caps are at most 2^30 a second, so nothing here comes near 64 bits. */
static uint64_t filled(uint64_t content, uint64_t per_s, uint32_t passed)
{
	uint64_t most = per_s * HUNDREDTHS;
	return crew__min(content + per_s * crew__min(passed, HUNDREDTHS), most);
}

void crew__rate_room(
	struct crew__rate *rate, uint32_t now, size_t *ret_bytes, uint32_t *ret_messages)
{
	uint32_t passed = now - rate->at;
	rate->bytes = filled(rate->bytes, rate->bytes_per_s, passed);
	rate->messages = filled(rate->messages, rate->messages_per_s, passed);
	rate->at = now;
	*ret_bytes = rate->bytes_per_s > 0 ? rate->bytes / HUNDREDTHS : SIZE_MAX;
	*ret_messages = rate->messages_per_s > 0 ? (uint32_t)(rate->messages / HUNDREDTHS)
						 : UINT32_MAX;
}

static void spend(uint64_t *content, uint64_t amount)
{
	uint64_t spent = amount * HUNDREDTHS;
	*content -= crew__min(*content, spent);
}

void crew__rate_spend(struct crew__rate *rate, size_t bytes, uint32_t messages)
{
	spend(&rate->bytes, bytes);
	spend(&rate->messages, messages);
}

static uint32_t wait_for(uint64_t wanted, uint64_t content, uint64_t per_s)
{
	if (per_s == 0 || wanted <= content)
		return 0;
	return (uint32_t)((wanted - content + per_s - 1) / per_s);
}

uint32_t crew__rate_wait(const struct crew__rate *rate, size_t queued)
{
	uint64_t chunk = crew__max(rate->bytes_per_s / 10, (uint64_t)CHUNK_LEAST);
	chunk = crew__min(crew__min(chunk, (uint64_t)queued), rate->bytes_per_s);
	uint32_t bytes = wait_for(chunk * HUNDREDTHS, rate->bytes, rate->bytes_per_s);
	uint32_t messages = wait_for(HUNDREDTHS, rate->messages, rate->messages_per_s);
	uint32_t wait = bytes > messages ? bytes : messages;
	return wait > 0 ? wait : 1;
}
