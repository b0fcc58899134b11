#include "service/capabilities.h"

#include "base/nearest.h"

#include <stdio.h>
#include <string.h>

/* In the order of their numbers, which are the kernel's for ever. */
static const char *const names[] = { "chown", "dac_override", "dac_read_search", "fowner", "fsetid",
	"kill", "setgid", "setuid", "setpcap", "linux_immutable", "net_bind_service",
	"net_broadcast", "net_admin", "net_raw", "ipc_lock", "ipc_owner", "sys_module", "sys_rawio",
	"sys_chroot", "sys_ptrace", "sys_pacct", "sys_admin", "sys_boot", "sys_nice",
	"sys_resource", "sys_time", "sys_tty_config", "mknod", "lease", "audit_write",
	"audit_control", "setfcap", "mac_override", "mac_admin", "syslog", "wake_alarm",
	"block_suspend", "audit_read", "perfmon", "bpf", "checkpoint_restore" };
_Static_assert(crew__lengthof(names) == 41, "a name is missing");

#define SEPARATORS " \t,"

static const char *bare(const char *word)
{
	return strncasecmp(word, "cap_", 4) == 0 ? word + 4 : word;
}

static int find(const char *word)
{
	for (size_t i = 0; i < crew__lengthof(names); i++)
		if (strcasecmp(names[i], bare(word)) == 0)
			return (int)i;
	return -ENOENT;
}

int crew__capabilities_parse(const char *text, uint64_t *ret_set, char ret_bad[32])
{
	uint64_t set = 0;
	unsigned words = 0;
	bool none = false;
	for (text += strspn(text, SEPARATORS); *text; text += strspn(text, SEPARATORS)) {
		char word[32];
		size_t length = strcspn(text, SEPARATORS);
		snprintf(
			word, sizeof(word), "%.*s", (int)crew__min(length, sizeof(word) - 1), text);
		int number = length < sizeof(word) ? find(word) : -ENOENT;
		bool is_none = strcmp(word, "none") == 0;
		words++;
		/* `none` beside others says two things. */
		if ((number < 0 && !is_none) || ((is_none || none) && words > 1)) {
			memcpy(ret_bad, word, sizeof(word));
			return -EINVAL;
		}
		none = is_none;
		if (number >= 0)
			set |= UINT64_C(1) << number;
		text += length;
	}
	*ret_set = set;
	return 0;
}

void crew__capabilities_text(uint64_t set, char *text, size_t size)
{
	size_t used = 0;
	snprintf(text, size, "%s", set == 0 ? "none" : "");
	for (unsigned i = 0; i < 64 && used < size; i++) {
		if (!(set >> i & 1))
			continue;
		const char *before = used ? " " : "";
		int more = i < crew__lengthof(names)
				   ? snprintf(text + used, size - used, "%s%s", before, names[i])
				   : snprintf(text + used, size - used, "%s%u", before, i);
		used += (size_t)more;
	}
}

const char *crew__capability_nearest(const char *word)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;
	for (size_t i = 0; i < crew__lengthof(names); i++)
		if (crew__nearer(bare(word), names[i], &best))
			nearest = names[i];
	return nearest;
}
