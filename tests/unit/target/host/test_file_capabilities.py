# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

import pytest

from ansible_collections.ecsops.intrusion_response.plugins.module_utils.host import file_capabilities


@pytest.mark.parametrize("capabilities, expected", [
    # As setcap(8) of libcap 2.66 wrote them.
    ("cap_net_raw=ep", "0100000200200000000000000000000000000000"),
    ("cap_net_raw+p", "0000000200200000000000000000000000000000"),
    ("cap_net_admin,cap_net_raw=ep", "0100000200300000000000000000000000000000"),
    ("cap_net_admin,cap_net_raw+eip", "0100000200300000003000000000000000000000"),
    ("cap_net_raw=eip cap_net_raw-i", "0100000200200000000000000000000000000000"),
    ("cap_syslog,cap_perfmon=ep", "0100000200000000000000004400000000000000"),
    ("CAP_NET_RAW=ep", "0100000200200000000000000000000000000000"),
    ("= cap_chown+ep", "0100000201000000000000000000000000000000"),
    ("", ""),
    ("=", ""),
    ("cap_net_raw=", ""),
])
def test_text_becomes_what_the_kernel_keeps(capabilities, expected):
    assert file_capabilities.from_text(capabilities).hex() == expected


@pytest.mark.parametrize("capabilities", ["cap_nonsense=ep", "cap_net_raw", "cap_net_raw=x", "\udcff=ep"])
def test_other_text_is_refused(capabilities):
    with pytest.raises(ValueError):
        file_capabilities.from_text(capabilities)
