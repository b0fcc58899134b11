/* cidr.c - lists of networks, and the numeric addresses that they are made of. */
#include "web/cidr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define BETWEEN " \t,"
#define LOCAL   "unix"

enum {
	IP_BITS = 128,
	MAPPED_BITS = 96, /* before an IPv4 address that is written as IPv6 */
	IP_TEXT_MAX = 45  /* INET6_ADDRSTRLEN without its NUL */
};

static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

/* ---- addresses ----------------------------------------------------------------------------- */

bool crew__ip_parse(crew_bytes text, struct crew__record_address *ret_address)
{
	char copy[IP_TEXT_MAX + 1];
	struct crew__record_address address = { 0 };
	if (text.len == 0 || text.len > IP_TEXT_MAX || memchr(text.data, '\0', text.len))
		return false;
	memcpy(copy, text.data, text.len);
	copy[text.len] = '\0';
	address.family = AF_INET;
	memcpy(address.ip, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, copy, address.ip + sizeof(mapped)) != 1) {
		if (inet_pton(AF_INET6, copy, address.ip) != 1)
			return false;
		if (memcmp(address.ip, mapped, sizeof(mapped)) != 0)
			address.family = AF_INET6;
	}
	*ret_address = address;
	return true;
}

/* ---- networks ------------------------------------------------------------------------------ */

/* As a C program writes a small number: digits, no sign, no zero in front. */
static bool parse_bits(crew_bytes text, unsigned most, unsigned *ret_bits)
{
	unsigned bits = 0;
	if (text.len == 0 || text.len > 3 || (text.len > 1 && text.data[0] == '0'))
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		bits = bits * 10 + (unsigned)(text.data[i] - '0');
	}
	*ret_bits = bits;
	return bits <= most;
}

static void clear_behind(uint8_t ip[16], unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		unsigned first = i * 8;
		if (bits <= first)
			ip[i] = 0;
		else if (bits - first < 8)
			ip[i] = (uint8_t)(ip[i] & (0xff00u >> (bits - first)));
	}
}

static bool parse_entry(crew_bytes entry, struct crew__cidr *ret_cidr)
{
	struct crew__record_address address;
	const char *slash = memchr(entry.data, '/', entry.len);
	size_t before = slash ? (size_t)(slash - entry.data) : entry.len;
	if (!crew__ip_parse((crew_bytes){ entry.data, before }, &address))
		return false;
	bool as_ipv6 = memchr(entry.data, ':', before) != NULL;
	unsigned offset = as_ipv6 ? 0 : MAPPED_BITS, bits = IP_BITS - offset;
	if (slash && !parse_bits((crew_bytes){ slash + 1, entry.len - before - 1 }, bits, &bits))
		return false;
	*ret_cidr = (struct crew__cidr){ .bits = (uint8_t)(bits + offset) };
	/* A network that is wider than all of IPv4 in its IPv6 dress is one of IPv6. */
	ret_cidr->ipv4 = address.family == AF_INET && ret_cidr->bits >= MAPPED_BITS;
	memcpy(ret_cidr->ip, address.ip, sizeof(ret_cidr->ip));
	clear_behind(ret_cidr->ip, ret_cidr->bits);
	return true;
}

static int add_entry(struct crew__cidrs *list, crew_bytes entry)
{
	struct crew__cidr cidr;
	if (entry.len == strlen(LOCAL) && memcmp(entry.data, LOCAL, entry.len) == 0) {
		list->local = true;
		return 0;
	}
	if (!parse_entry(entry, &cidr))
		return -EINVAL;
	struct crew__cidr *items = reallocarray(list->items, list->count + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	list->items = items;
	items[list->count++] = cidr;
	return 0;
}

int crew__cidrs_parse(const char *text, struct crew__cidrs *ret_list, crew_bytes *ret_bad)
{
	struct crew__cidrs list = { 0 };
	const char *at = text ? text : "";
	int error = 0;
	for (at += strspn(at, BETWEEN); *at && !error; at += strspn(at, BETWEEN)) {
		crew_bytes entry = { at, strcspn(at, BETWEEN) };
		error = add_entry(&list, entry);
		if (error == -EINVAL && ret_bad)
			*ret_bad = entry;
		at += entry.len;
	}
	if (error)
		crew__cidrs_free(&list);
	else
		*ret_list = list;
	return error;
}

void crew__cidrs_free(struct crew__cidrs *list)
{
	free(list->items);
	*list = (struct crew__cidrs){ 0 };
}

/* ---- asking -------------------------------------------------------------------------------- */

static bool holds(const struct crew__cidr *cidr, const uint8_t ip[16])
{
	size_t whole = cidr->bits / 8;
	unsigned rest = cidr->bits % 8u;
	if (memcmp(cidr->ip, ip, whole) != 0)
		return false;
	return rest == 0 || ((cidr->ip[whole] ^ ip[whole]) & (0xff00u >> rest) & 0xffu) == 0;
}

bool crew__cidrs_hold(const struct crew__cidrs *list, const struct crew__record_address *address)
{
	if (address->family == AF_UNIX)
		return list->local;
	if (address->family != AF_INET && address->family != AF_INET6)
		return false;
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].ipv4 == (address->family == AF_INET) &&
			holds(&list->items[i], address->ip))
			return true;
	return false;
}
