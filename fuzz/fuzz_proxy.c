/* fuzz_proxy.c - PROXY headers: told as early as can be, and the same whatever stands behind them.
 * The first byte says what comes before the rest: nothing, or the beginning of a version 2 header.
 */
#include "fuzz.h"

#include "proto/proxy.h"

#include <sys/socket.h>

static int parse(const char *data, size_t len, struct crew__proxy *ret_proxy)
{
	char *copy = copy_of(data, len);
	int result = crew__proxy_parse((crew_bytes){ copy, len }, ret_proxy);
	free(copy);
	return result;
}

static void check_address(const struct crew__record_address *address)
{
	static const struct crew__record_address none;
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool as_ipv4 = memcmp(address->ip, mapped, sizeof(mapped)) == 0;
	crew__must(address->scope == 0);
	if (address->family == AF_UNIX)
		crew__must(memcmp(address->ip, none.ip, sizeof(none.ip)) == 0 && !address->port);
	else
		crew__must(address->family == (as_ipv4 ? AF_INET : AF_INET6));
}

/* Never a byte more asked for than the longest header has; a verdict stays as it is. */
static void check(const char *data, size_t len)
{
	struct crew__proxy proxy, whole;
	int verdict = 0;
	size_t most = len < CREW__PROXY_V2_MAX + 8 ? len : CREW__PROXY_V2_MAX + 8;
	memset(&whole, 0, sizeof(whole));
	for (size_t at = 0; at <= most; at++) {
		memset(&proxy, 0, sizeof(proxy));
		int now = parse(data, at, &proxy);
		crew__must(now == -EPROTO || (now >= 0 && (size_t)now <= at));
		crew__must(verdict == 0 || now == verdict);
		crew__must(now <= 0 || verdict != 0 || (size_t)now == at);
		if (now > 0 && verdict == 0)
			whole = proxy;
		crew__must(now <= 0 || memcmp(&whole, &proxy, sizeof(whole)) == 0);
		verdict = now;
	}
	crew__must(verdict != 0 || len < CREW__PROXY_V2_MAX);
	if (verdict <= 0)
		return;
	crew__must(whole.version == 1 ? verdict <= CREW__PROXY_V1_MAX
				      : whole.version == 2 && verdict <= CREW__PROXY_V2_MAX);
	if (!whole.known)
		return;
	check_address(&whole.source);
	check_address(&whole.target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char begin[] = "\r\n\r\n\0\r\nQUIT\n\x21";
	size_t before = take_byte(&data, &size) % 2 ? sizeof(begin) - 1 : 0;
	char *all = malloc(before + size + 1);
	crew__must(all);
	memcpy(all, begin, before);
	if (size > 0)
		memcpy(all + before, data, size);
	check(all, before + size);
	free(all);
	return 0;
}
