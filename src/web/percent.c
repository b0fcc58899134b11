/* percent.c - see percent.h. */
#include "web/percent.h"

#include <string.h>

#include "proto/http1.h"

int crew__percent_byte(const char digits[2])
{
	int high = crew__http_hex(digits[0]), low = crew__http_hex(digits[1]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* The byte that an escape at `at` stands for, -1 when it is none. */
static int escape(const char *at, const char *end)
{
	return end - at < 3 ? -1 : crew__percent_byte(at + 1);
}

int64_t crew__percent_decode(crew_bytes in, char *out, bool plus_is_space)
{
	const char *at = in.data, *end = in.data + in.len;
	char *to = out;
	while (at < end) {
		int byte = (unsigned char)*at;
		if (byte == '%') {
			byte = escape(at, end);
			if (byte < 0)
				return -EINVAL;
			at += 2;
		} else if (byte == '+' && plus_is_space) {
			byte = ' ';
		}
		*to++ = (char)byte;
		at++;
	}
	return to - out;
}

bool crew__percent_good(crew_bytes in)
{
	const char *at = in.data, *end = in.data + in.len;
	while (at < end && (at = memchr(at, '%', (size_t)(end - at)))) {
		if (escape(at, end) <= 0)
			return false;
		at += 3;
	}
	return true;
}
