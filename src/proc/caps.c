#include "proc/caps.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	LAST = 63 /* the sets have 64 bits; the kernel knows fewer */
};

int crew__caps_get(struct crew__caps *ret_caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	*ret_caps = (struct crew__caps){
		.effective = (uint64_t)data[1].effective << 32 | data[0].effective,
		.permitted = (uint64_t)data[1].permitted << 32 | data[0].permitted,
		.inheritable = (uint64_t)data[1].inheritable << 32 | data[0].inheritable,
	};
	return 0;
}

static int set(const struct crew__caps *caps)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct data[2] = {
		{ (uint32_t)caps->effective, (uint32_t)caps->permitted,
			(uint32_t)caps->inheritable },
		{ (uint32_t)(caps->effective >> 32), (uint32_t)(caps->permitted >> 32),
			(uint32_t)(caps->inheritable >> 32) },
	};
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int crew__caps_bound(uint64_t keep)
{
	struct crew__caps now = { .effective = 0 };
	int status = crew__caps_get(&now);
	if (status < 0 || !(now.effective >> CAP_SETPCAP & 1))
		return status;
	for (unsigned long i = 0; i <= LAST; i++) {
		if (keep >> i & 1 || prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0)
			return -errno;
		if (prctl(PR_CAPBSET_READ, i, 0, 0, 0) != 0)
			return -EPERM;
	}
	return 0;
}

int crew__caps_keep(uint64_t keep)
{
	const struct crew__caps wanted = { .effective = keep, .permitted = keep };
	struct crew__caps now = { .effective = 0 };
	/* An old kernel without ambient ones has none to clear. */
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	int status = set(&wanted);
	if (status == 0)
		status = crew__caps_get(&now);
	if (status < 0)
		return status;
	for (unsigned long i = 0; i <= LAST; i++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, i, 0, 0) == 1)
			return -EPERM;
	bool exact = now.effective == keep && now.permitted == keep && now.inheritable == 0;
	return exact ? 0 : -EPERM;
}
