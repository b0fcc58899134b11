#include "service/fetch_names.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void end_name(struct crew__fetch_name *name)
{
	free(name->host);
	free(name->addresses);
	*name = (struct crew__fetch_name){ 0 };
}

void crew__fetch_names_fini(struct crew__fetch_names *names)
{
	for (size_t i = 0; i < CREW__FETCH_NAMES; i++)
		end_name(&names->names[i]);
}

static struct crew__fetch_name *find(struct crew__fetch_names *names, const char *host)
{
	for (size_t i = 0; i < CREW__FETCH_NAMES; i++) {
		struct crew__fetch_name *name = &names->names[i];
		if (name->host && strcasecmp(name->host, host) == 0)
			return name;
	}
	return NULL;
}

const char *crew__fetch_names_find(
	struct crew__fetch_names *names, const char *host, uint64_t now_ns)
{
	struct crew__fetch_name *name = find(names, host);
	if (!name)
		return NULL;
	if (now_ns < name->until_ns)
		return name->addresses;
	end_name(name);
	return NULL;
}

/* A free place, or that of the one which ends first. */
static struct crew__fetch_name *make_room(struct crew__fetch_names *names)
{
	struct crew__fetch_name *first = &names->names[0];
	for (size_t i = 0; i < CREW__FETCH_NAMES && first->host; i++) {
		struct crew__fetch_name *name = &names->names[i];
		if (!name->host || name->until_ns < first->until_ns)
			first = name;
	}
	end_name(first);
	return first;
}

void crew__fetch_names_keep(struct crew__fetch_names *names, const char *host,
	const char *addresses, uint32_t ttl_s, uint64_t now_ns)
{
	crew__fetch_names_forget(names, host);
	if (ttl_s == 0)
		return;
	uint64_t kept_s = ttl_s < CREW__FETCH_NAME_S ? ttl_s : CREW__FETCH_NAME_S;
	struct crew__fetch_name *name = make_room(names);
	name->host = strdup(host);
	name->addresses = strdup(addresses);
	name->until_ns = now_ns + kept_s * CREW__NS_PER_S;
	if (!name->host || !name->addresses)
		end_name(name);
}

void crew__fetch_names_forget(struct crew__fetch_names *names, const char *host)
{
	struct crew__fetch_name *name = find(names, host);
	if (name)
		end_name(name);
}

/* Empty: not one that can be written. */
static void write_address(const struct sockaddr_storage *address, char *text, size_t size)
{
	const struct sockaddr_in *in = (const void *)address;
	const struct sockaddr_in6 *in6 = (const void *)address;
	char number[INET6_ADDRSTRLEN] = "";
	text[0] = '\0';
	if (address->ss_family == AF_INET &&
		inet_ntop(AF_INET, &in->sin_addr, number, sizeof(number)))
		snprintf(text, size, "%s", number);
	else if (address->ss_family == AF_INET6 && in6->sin6_scope_id == 0 &&
		 inet_ntop(AF_INET6, &in6->sin6_addr, number, sizeof(number)))
		snprintf(text, size, "[%s]", number);
}

size_t crew__fetch_addresses(
	const struct crew__resolved *resolved, char text[CREW__FETCH_ADDRESSES])
{
	size_t written = 0, len = 0;
	text[0] = '\0';
	for (size_t i = 0; i < resolved->count && i < CREW__RESOLVED_MOST; i++) {
		char one[INET6_ADDRSTRLEN + 2];
		write_address(&resolved->addresses[i], one, sizeof(one));
		if (!one[0])
			continue;
		len += (size_t)snprintf(text + len, CREW__FETCH_ADDRESSES - len, "%s%s",
			written > 0 ? "," : "", one);
		written++;
	}
	return written;
}
