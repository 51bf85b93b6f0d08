"""
MITRE ATT&CK as rules name it in tags: ``mitre_<tactic>`` and technique ids of version 18.

Names are those of https://attack.mitre.org, version 18. Version 19 split Impair Defenses and renumbered a few more;
``V19`` holds the new ids.
"""

import re
from collections.abc import Iterable

TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")
TACTIC_TAG = "mitre_"

TACTICS = {
    "reconnaissance": "Reconnaissance",
    "resource_development": "Resource Development",
    "initial_access": "Initial Access",
    "execution": "Execution",
    "persistence": "Persistence",
    "privilege_escalation": "Privilege Escalation",
    "defense_evasion": "Defense Evasion",
    "credential_access": "Credential Access",
    "discovery": "Discovery",
    "lateral_movement": "Lateral Movement",
    "collection": "Collection",
    "command_and_control": "Command and Control",
    "exfiltration": "Exfiltration",
    "impact": "Impact",
}
"""Tactics in the order of the matrix, by the word in their tags."""

V19 = {
    "T1562": "T1685",
    "T1562.001": "T1685",
    "T1562.006": "T1685",
    "T1562.002": "T1685.001",
    "T1562.004": "T1686",
    "T1562.007": "T1686.001",
    "T1562.008": "T1685.002",
    "T1562.010": "T1689",
    "T1562.012": "T1685.004",
    "T1070.001": "T1685.005",
    "T1070.002": "T1685.006",
    "T1547.011": "T1647",
    "T1656": "T1684.001",
}
"""Ids of version 19 by those of version 18, where they differ."""

NAMES = {
    "T1005": "Data from Local System",
    "T1020": "Automated Exfiltration",
    "T1021.004": "Remote Services: SSH",
    "T1021.007": "Remote Services: Cloud Services",
    "T1033": "System Owner/User Discovery",
    "T1036.005": "Masquerading: Match Legitimate Resource Name or Location",
    "T1040": "Network Sniffing",
    "T1048": "Exfiltration Over Alternative Protocol",
    "T1053.007": "Scheduled Task/Job: Container Orchestration Job",
    "T1059.004": "Command and Scripting Interpreter: Unix Shell",
    "T1059.009": "Command and Scripting Interpreter: Cloud API",
    "T1069.003": "Permission Groups Discovery: Cloud Groups",
    "T1070": "Indicator Removal",
    "T1074": "Data Staged",
    "T1078": "Valid Accounts",
    "T1078.001": "Valid Accounts: Default Accounts",
    "T1078.004": "Valid Accounts: Cloud Accounts",
    "T1087.004": "Account Discovery: Cloud Account",
    "T1090": "Proxy",
    "T1098": "Account Manipulation",
    "T1098.001": "Account Manipulation: Additional Cloud Credentials",
    "T1098.003": "Account Manipulation: Additional Cloud Roles",
    "T1098.004": "Account Manipulation: SSH Authorized Keys",
    "T1098.005": "Account Manipulation: Device Registration",
    "T1098.006": "Account Manipulation: Additional Container Cluster Roles",
    "T1105": "Ingress Tool Transfer",
    "T1110.001": "Brute Force: Password Guessing",
    "T1133": "External Remote Services",
    "T1134": "Access Token Manipulation",
    "T1136": "Create Account",
    "T1136.003": "Create Account: Cloud Account",
    "T1190": "Exploit Public-Facing Application",
    "T1199": "Trusted Relationship",
    "T1204.003": "User Execution: Malicious Image",
    "T1213.006": "Data from Information Repositories: Databases",
    "T1484.002": "Domain or Tenant Policy Modification: Trust Modification",
    "T1485": "Data Destruction",
    "T1485.001": "Data Destruction: Lifecycle-Triggered Deletion",
    "T1486": "Data Encrypted for Impact",
    "T1490": "Inhibit System Recovery",
    "T1496": "Resource Hijacking",
    "T1496.001": "Resource Hijacking: Compute Hijacking",
    "T1496.004": "Resource Hijacking: Cloud Service Hijacking",
    "T1498": "Network Denial of Service",
    "T1525": "Implant Internal Image",
    "T1526": "Cloud Service Discovery",
    "T1528": "Steal Application Access Token",
    "T1530": "Data from Cloud Storage",
    "T1531": "Account Access Removal",
    "T1535": "Unused/Unsupported Cloud Regions",
    "T1537": "Transfer Data to Cloud Account",
    "T1543.005": "Create or Modify System Process: Container Service",
    "T1546": "Event Triggered Execution",
    "T1548.005": "Abuse Elevation Control Mechanism: Temporary Elevated Cloud Access",
    "T1550.001": "Use Alternate Authentication Material: Application Access Token",
    "T1552": "Unsecured Credentials",
    "T1552.001": "Unsecured Credentials: Credentials In Files",
    "T1552.004": "Unsecured Credentials: Private Keys",
    "T1552.005": "Unsecured Credentials: Cloud Instance Metadata API",
    "T1552.007": "Unsecured Credentials: Container API",
    "T1555.006": "Credentials from Password Stores: Cloud Secrets Management Stores",
    "T1556": "Modify Authentication Process",
    "T1556.006": "Modify Authentication Process: Multi-Factor Authentication",
    "T1557": "Adversary-in-the-Middle",
    "T1562.001": "Impair Defenses: Disable or Modify Tools",
    "T1562.007": "Impair Defenses: Disable or Modify Cloud Firewall",
    "T1562.008": "Impair Defenses: Disable or Modify Cloud Logs",
    "T1565.001": "Data Manipulation: Stored Data Manipulation",
    "T1572": "Protocol Tunneling",
    "T1578": "Modify Cloud Compute Infrastructure",
    "T1578.002": "Modify Cloud Compute Infrastructure: Create Cloud Instance",
    "T1578.005": "Modify Cloud Compute Infrastructure: Modify Cloud Compute Configurations",
    "T1580": "Cloud Infrastructure Discovery",
    "T1584.001": "Compromise Infrastructure: Domains",
    "T1595.002": "Active Scanning: Vulnerability Scanning",
    "T1609": "Container Administration Command",
    "T1610": "Deploy Container",
    "T1611": "Escape to Host",
    "T1613": "Container and Resource Discovery",
    "T1619": "Cloud Storage Object Discovery",
    "T1648": "Serverless Execution",
    "T1649": "Steal or Forge Authentication Certificates",
    "T1651": "Cloud Administration Command",
    "T1654": "Log Enumeration",
    "T1666": "Modify Cloud Resource Hierarchy",
}
"""Names of the techniques that the shipped rules name; a test keeps it complete."""


def techniques(tags: Iterable[str]) -> list[str]:
    """Return the technique ids among tags, in order."""
    return [tag for tag in tags if TECHNIQUE.fullmatch(tag)]


def tactics(tags: Iterable[str]) -> list[str]:
    """Return the words of the tactics among tags, in the order of the matrix."""
    given = {tag.removeprefix(TACTIC_TAG) for tag in tags if tag.startswith(TACTIC_TAG)}
    return [word for word in TACTICS if word in given]
