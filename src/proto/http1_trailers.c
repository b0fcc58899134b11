/* http1_trailers.c - the fields behind a chunked body (RFC 9112 7.1.2): which of them are told.
 *
 * Not here: their grammar and their limits, which http1_chunked.c has checked byte by byte. */
#include "proto/http1_parts.h"

#include <string.h>

/* What decides about a message before its body comes (RFC 9110 6.5.1): how it is framed, where it
 * goes, who asks, under which conditions, and what the body is. None of these means anything behind
 * the body, so they are left out, not refused: nobody can be misled by what nobody is told, and a
 * client that repeats a harmless field there is answered as before. */
static const char *const before[] = { "Authorization", "Cache-Control", "Connection",
	"Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Cookie", "Expect",
	"Forwarded", "Host", "Keep-Alive", "Max-Forwards", "Origin", "Pragma", "Range", "Referer",
	"Set-Cookie", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "X-HTTP-Method-Override",
	"X-Real-IP" };
static const char *const families[] = { "If-", "Proxy-", "Sec-", "X-Forwarded-" };

static bool may_follow(crew_bytes name)
{
	for (size_t i = 0; i < crew__lengthof(before); i++)
		if (crew__http_same(name, (crew_bytes){ before[i], strlen(before[i]) }))
			return false;
	for (size_t i = 0; i < crew__lengthof(families); i++) {
		crew_bytes family = { families[i], strlen(families[i]) };
		crew_bytes start = { name.data, crew__min(name.len, family.len) };
		if (crew__http_same(start, family))
			return false;
	}
	return true;
}

static crew_bytes trimmed(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	return (crew_bytes){ at, (size_t)(end - at) };
}

size_t crew__http1_trailers(crew_bytes section, crew_header *ret_fields, size_t most)
{
	const char *at = section.data, *end = at + section.len;
	size_t count = 0;
	while (at < end && count < most) {
		const char *colon = crew__http_skip(at, end, CREW__HTTP_TOKEN);
		const char *stop = crew__http_skip_value(colon, end);
		crew_bytes name = { at, (size_t)(colon - at) };
		if (may_follow(name))
			ret_fields[count++] = (crew_header){ name, trimmed(colon + 1, stop) };
		at = stop + 2;
	}
	return count;
}
