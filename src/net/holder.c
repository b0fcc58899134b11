/* holder.c - the kernel's table of listening sockets gives an inode; a process that has that inode
 * open is the holder. All of it is bounded by a deadline: machines may have a million sockets. */
#include "net/holder.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MOST_MS = 300,
	LISTENING = 0x0a, /* TCP_LISTEN in the table's state column */
	NAME_SIZE = 64
};

/* An address and port, IPv4 as mapped IPv6. */
struct place {
	struct in6_addr ip;
	unsigned port;
	bool any;
};

static bool time_is_up(uint64_t deadline_ns)
{
	return crew__clock_ns() >= deadline_ns;
}

static void map_ipv4(struct place *place, const void *ip)
{
	static const uint8_t none[4];
	memset(&place->ip, 0, sizeof(place->ip));
	place->ip.s6_addr[10] = place->ip.s6_addr[11] = 0xff;
	memcpy(place->ip.s6_addr + 12, ip, 4);
	place->any = memcmp(ip, none, sizeof(none)) == 0;
}

static bool place_of(const struct sockaddr *address, struct place *place)
{
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
	if (address->sa_family == AF_INET) {
		memcpy(&ipv4, address, sizeof(ipv4));
		map_ipv4(place, &ipv4.sin_addr);
		place->port = ntohs(ipv4.sin_port);
		return true;
	}
	if (address->sa_family != AF_INET6)
		return false;
	memcpy(&ipv6, address, sizeof(ipv6));
	place->ip = ipv6.sin6_addr;
	place->any = IN6_IS_ADDR_UNSPECIFIED(&ipv6.sin6_addr);
	place->port = ntohs(ipv6.sin6_port);
	return true;
}

/* The table writes addresses as 32-bit numbers of this machine's byte order, in hexadecimal. */
static bool parse_place(const char *ip, const char *port, struct place *place)
{
	uint32_t words[4] = { 0 };
	size_t digits = strspn(ip, "0123456789ABCDEFabcdef"), count = digits / 8;
	if (digits % 8 != 0 || (count != 1 && count != 4))
		return false;
	for (size_t i = 0; i < count; i++) {
		char word[9] = "";
		memcpy(word, ip + i * 8, 8);
		words[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	place->port = (unsigned)strtoul(port, NULL, 16);
	if (count == 1) {
		map_ipv4(place, words);
		return true;
	}
	memcpy(&place->ip, words, sizeof(words));
	place->any = IN6_IS_ADDR_UNSPECIFIED(&place->ip);
	return true;
}

static bool collide(const struct place *a, const struct place *b)
{
	return a->port == b->port &&
	       (a->any || b->any || memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0);
}

/* `  sl: ADDRESS:PORT ADDRESS:PORT STATE queues timer retransmits uid timeout INODE ...` */
static bool line_holds(const char *line, const struct place *wanted, uint64_t *ret_inode)
{
	char ip[33], port[5];
	unsigned state;
	struct place place;
	int fields = sscanf(line,
		"%*d: %32[0-9A-Fa-f]:%4[0-9A-Fa-f] %*s %x %*s %*s %*s %*s %*s %" SCNu64, ip, port,
		&state, ret_inode);
	return fields == 4 && state == LISTENING && *ret_inode != 0 &&
	       parse_place(ip, port, &place) && collide(&place, wanted);
}

static bool find_inode(
	const char *table, const struct place *wanted, uint64_t deadline_ns, uint64_t *ret_inode)
{
	char line[512];
	bool found = false;
	FILE *file = fopen(table, "re");
	if (!file)
		return false;
	while (!found && !time_is_up(deadline_ns) && fgets(line, sizeof(line), file))
		found = line_holds(line, wanted, ret_inode);
	fclose(file);
	return found;
}

/* Does `fd` of /proc, a folder of links, have one to that target? */
static bool has_link(int folder_fd, const char *target, uint64_t deadline_ns)
{
	char link[64];
	bool found = false;
	DIR *folder = fdopendir(folder_fd);
	if (!folder) {
		close(folder_fd);
		return false;
	}
	for (const struct dirent *entry; !found && (entry = readdir(folder));) {
		ssize_t length = readlinkat(folder_fd, entry->d_name, link, sizeof(link) - 1);
		if (length < 0)
			continue;
		link[length] = '\0';
		found = strcmp(link, target) == 0;
		if (time_is_up(deadline_ns))
			break;
	}
	closedir(folder);
	return found;
}

static pid_t find_process(uint64_t inode, uint64_t deadline_ns)
{
	char target[64], path[300];
	pid_t pid = 0;
	DIR *proc = opendir("/proc");
	if (!proc)
		return 0;
	snprintf(target, sizeof(target), "socket:[%" PRIu64 "]", inode);
	for (const struct dirent *entry; pid == 0 && (entry = readdir(proc));) {
		if (entry->d_name[0] < '0' || entry->d_name[0] > '9')
			continue;
		if (time_is_up(deadline_ns))
			break;
		snprintf(path, sizeof(path), "%s/fd", entry->d_name);
		int folder = openat(dirfd(proc), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (folder >= 0 && has_link(folder, target, deadline_ns))
			pid = (pid_t)strtol(entry->d_name, NULL, 10);
	}
	closedir(proc);
	return pid;
}

/* A process may call itself what it likes; only what can be shown is shown. */
static bool name_process(pid_t pid, char *ret_text, size_t size)
{
	char path[64], name[NAME_SIZE];
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	size_t length = fread(name, 1, sizeof(name) - 1, file);
	fclose(file);
	name[length] = '\0';
	name[strcspn(name, "\n")] = '\0';
	for (char *byte = name; *byte; byte++)
		if (*byte < ' ' || *byte > '~')
			*byte = '?';
	snprintf(ret_text, size, "%s (pid %d)", name, (int)pid);
	return true;
}

bool crew__holder_find(const struct sockaddr *address, char *ret_text, size_t size)
{
	uint64_t deadline_ns = crew__clock_ns() + MOST_MS * CREW__NS_PER_MS, inode;
	struct place wanted;
	if (!place_of(address, &wanted))
		return false;
	if (!find_inode("/proc/net/tcp", &wanted, deadline_ns, &inode) &&
		!find_inode("/proc/net/tcp6", &wanted, deadline_ns, &inode))
		return false;
	pid_t pid = find_process(inode, deadline_ns);
	return pid > 0 && name_process(pid, ret_text, size);
}

bool crew__holder_of_peer(int fd, char *ret_text, size_t size)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || peer.pid <= 0)
		return false;
	return name_process(peer.pid, ret_text, size);
}
