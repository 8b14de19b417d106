# Copyright (c) 2026, the ecsops.intrusion_response contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who stands behind a CNAME: name suffixes of WAF, CDN and load balancer vendors, as data.

A suffix proves the vendor and nothing more: not that the WAF is switched on, nor that the domain is
configured there. Suffixes match on the label boundary, so ``notyundunwaf1.com`` is not ``yundunwaf1.com``.
"""

import re

# What the vendor's edge is, as far as a name can tell.
KINDS = {
    "waf": "a web application firewall",
    "cdn_waf": "a CDN with a web application firewall",
    "cdn_waf_optional": "a CDN, whose web application firewall is an option that DNS does not show",
    "cdn": "a CDN, which is no web application firewall",
    "scrubbing": "a DDoS scrubbing service, which is no web application firewall",
    "load_balancer": "a load balancer, whose web application firewall is an option that DNS does not show",
    "steering": "a traffic steering service, which hands out the site's own servers",
}

# Kinds whose edge filters web attacks as a matter of course.
FILTERING_KINDS = ("waf", "cdn_waf")


class Vendor:
    """One row of the table.

    ``name``: short id, ``title``: for humans, ``kind``: a key of :data:`KINDS`, ``suffixes``: domain
    names without dots at either end, ``patterns``: regular expressions over a whole domain name.
    """

    def __init__(self, name, title, kind, suffixes, patterns=()):
        if kind not in KINDS:
            raise ValueError("unknown kind of vendor: %s" % (kind,))
        self.name = name
        self.title = title
        self.kind = kind
        self.suffixes = tuple(suffix.strip(".").lower() for suffix in suffixes)
        self.patterns = tuple(re.compile(pattern) for pattern in patterns)

    @property
    def filters(self):
        """Whether web attacks are filtered there as a matter of course."""
        return self.kind in FILTERING_KINDS

    def owns(self, domain):
        """Return whether ``domain`` (lower case, without final dot) lies under one of the suffixes."""
        if any(domain == suffix or domain.endswith("." + suffix) for suffix in self.suffixes):
            return True
        return any(pattern.search(domain) for pattern in self.patterns)


# The more special entry stands before the more general one: the first that owns a name wins.
VENDORS = (
    Vendor("alibaba_waf", "Alibaba Cloud WAF", "waf",
           ["yundunwaf.com", "alicloudwaf.com", "aliyunwaf.com", "aliyunwaf3.com"],
           [r"(?:^|\.)yundunwaf\d+\.com\Z"]),
    Vendor("alibaba_antiddos", "Alibaba Cloud Anti-DDoS", "scrubbing", [], [r"(?:^|\.)aliyunddos\d{4}\.com\Z"]),
    Vendor("alibaba_cdn", "Alibaba Cloud CDN, DCDN or ESA", "cdn_waf_optional",
           ["kunlunsl.com", "kunluncan.com", "kunlunar.com", "kunlunno.com", "kunlunaq.com", "kunlunca.com",
            "kunlunea.com", "kunlunpi.com", "kunlungr.com", "alikunlun.com", "alikunlun.net", "cdngslb.com",
            "queniusa.com", "tbcache.com", "alicdn.com"]),
    Vendor("alibaba_gtm", "Alibaba Cloud Global Traffic Manager", "steering", ["gds.alibabadns.com"]),
    Vendor("tencent_waf", "Tencent Cloud WAF", "waf",
           ["qcloudwaf.com", "qcloudwzgj.com", "qcloudzygj.com", "qcloudcjgj.com"]),
    Vendor("tencent_edgeone", "Tencent EdgeOne", "cdn_waf",
           ["dnse0.com", "dnse1.com", "dnse2.com", "dnse3.com", "dnse4.com", "dnse5.com", "dnse0.cn"]),
    Vendor("tencent_cdn", "Tencent Cloud CDN", "cdn",
           ["dnsv1.com", "dnsv1.com.cn", "cdntip.com", "spcdntip.com", "tdnsv5.com", "tdnsstic1.cn", "tdnsdp1.cn"]),
    Vendor("huawei_waf", "Huawei Cloud WAF", "waf", ["huaweicloudwaf.com", "wafcloud3.com"]),
    Vendor("huawei_cdn", "Huawei Cloud CDN", "cdn", [], [r"(?:^|\.)cdnhwc[1-8]\.com\Z"]),
    Vendor("cloudflare", "Cloudflare", "cdn_waf", ["cdn.cloudflare.net", "cloudflare.net", "cloudflarecn.net"]),
    Vendor("aws_cloudfront", "Amazon CloudFront", "cdn_waf_optional", ["cloudfront.net"]),
    Vendor("aws_elb", "Amazon Elastic Load Balancing", "load_balancer",
           ["elb.amazonaws.com", "elb.amazonaws.com.cn"]),
    Vendor("akamai", "Akamai", "cdn_waf",
           ["edgekey.net", "edgesuite.net", "akamaiedge.net", "akamai.net", "akamaized.net", "akamaihd.net",
            "akamaitechnologies.com"]),
    Vendor("akamai_gtm", "Akamai Global Traffic Management", "steering", ["akadns.net"]),
    Vendor("fastly", "Fastly", "cdn_waf_optional", ["fastly.net", "fastlylb.net"]),
    Vendor("imperva", "Imperva", "waf", ["incapdns.net", "impervadns.net"]),
    Vendor("azure_front_door", "Azure Front Door or CDN", "cdn_waf_optional",
           ["azurefd.net", "azureedge.net", "t-msedge.net"]),
    Vendor("sucuri", "Sucuri", "waf", ["sucuri.net"]),
    Vendor("qianxin_360", "360 and QiAnXin WAF", "waf",
           ["360cloudwaf.com", "360anyu.com", "360safedns.com", "360wzws.com", "qaxwzws.com", "qaxcloudwaf.com"]),
    Vendor("dbappsecurity", "DBAPPSecurity Xuanwudun", "waf", ["saaswaf.com", "dbappwaf.cn"]),
    Vendor("nsfocus", "NSFOCUS WAF", "waf", ["nscloudwaf.com"]),
    Vendor("knownsec", "Knownsec Jiasule", "cdn_waf", ["cname.365cyd.cn", "cdn.jiashule.com", "vip.jiasule.org"]),
    # A company of its own in Shanghai; Alibaba's product of the same name is alibaba_waf.
    Vendor("yundun_cn", "Yundun (Shanghai)", "cdn_waf", ["yunduncdn.com"]),
    Vendor("wangsu", "Wangsu (CDNetworks)", "cdn_waf_optional",
           ["wscdns.com", "wswebcdn.com", "lxdns.com", "cdn20.com", "cdn30.com", "wsglb0.com", "wsdvs.com",
            "wsssec.com"]),
    Vendor("baidu", "Baidu Cloud CDN", "cdn", ["bdydns.com", "jomodns.com"]),
    Vendor("volcengine", "Volcengine CDN", "cdn", ["vedcdnlb.com", "cdnbuild.net"]),
    Vendor("baishan", "Baishan Cloud CDN", "cdn", ["bsgslb.cn", "qingcdn.com", "trpcdn.net", "bsclink.cn"]),
)


def find_vendor(domain, vendors=VENDORS):
    """Return the :class:`Vendor` that owns ``domain`` (text, any case, final dot or not), or ``None``."""
    domain = domain.rstrip(".").lower()
    for vendor in vendors:
        if vendor.owns(domain):
            return vendor
    return None
